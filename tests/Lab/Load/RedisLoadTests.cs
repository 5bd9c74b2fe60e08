using System.Diagnostics;
using System.Net;
using Pollux.Lab.Hosts;
using Pollux.Lab.Load;
using Pollux.Lab.Tests.Labs;
using Pollux.Linux.Processes;

namespace Pollux.Lab.Tests.Load;

/// <summary>The client against a real server, and against the harm that it exists to notice.</summary>
[Collection(BareLabTests.Name)]
public sealed class RedisLoadTests(BareLab lab) : IAsyncLifetime
{
    private const int Stop = 19;
    private const int Continue = 18;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly IPEndPoint Server = new(IPAddress.Loopback, 6379);
    private Process _server = null!;

    /// <summary>A server in the client's namespace, on its loopback, in the lab's cgroup.</summary>
    public async Task InitializeAsync()
    {
        var redis = Path.Combine(lab.Cluster.Programs.Root, ".cache/redis");
        var start = new ProcessStartInfo("/bin/sh",
        [
            "-c", "echo $$ > \"$1/cgroup.procs\" && shift && exec \"$@\"", "sh", lab.Cluster.Name.ToolsCgroup.Path,
            "ip", "netns", "exec", lab.Cluster.Name.ClientNamespace,
            "env", $"LD_LIBRARY_PATH={redis}/usr/lib/x86_64-linux-gnu:{redis}/lib/x86_64-linux-gnu",
            Path.Combine(redis, "usr/bin/redis-server"), "--save", "", "--bind", "127.0.0.1",
        ])
        { RedirectStandardOutput = true };
        _server = Process.Start(start)!;
        while (await _server.StandardOutput.ReadLineAsync() is { } said && !said.Contains("Ready to accept", StringComparison.Ordinal))
        {
        }
    }

    public async Task DisposeAsync()
    {
        _server.Kill();
        await _server.WaitForExitAsync();
        _server.Dispose();
    }

    [Fact]
    public async Task Finish_AfterAnUndisturbedLoad_FindsEverythingAndTheConnection()
    {
        await using var load = await StartedAsync();

        var report = await load.FinishAsync(Patience);

        Assert.True(report.IsClean, report.FirstComplaint);
        Assert.Equal(0, report.Unanswered);
        Assert.Equal(report.Requests, load.Log.Count);
        Assert.True(report.Acknowledged > report.Requests / 2);
    }

    [Fact]
    public async Task OutageAt_AStoppedServer_SpansTheStopAndTheConnectionSurvives()
    {
        await using var load = await StartedAsync();

        var fault = Stopwatch.GetTimestamp();
        ProcessTable.TrySignal(_server.Id, Stop);
        await Polling.UntilAsync(() => Stopwatch.GetElapsedTime(fault).TotalMilliseconds > 200, Patience, () => "time stands still");
        var thaw = Stopwatch.GetTimestamp();
        ProcessTable.TrySignal(_server.Id, Continue);
        Assert.True(await load.IsAnsweredAfterAsync(thaw, Patience));
        var report = await load.FinishAsync(Patience);

        Assert.True(report.IsClean, report.FirstComplaint);
        var outage = load.Log.OutageAt(fault, TimeSpan.FromMilliseconds(20))!.Value;
        Assert.True(outage.ToTicks >= thaw);
    }

    [Fact]
    public async Task Finish_WhenAValueWasChangedBehindItsBack_CountsItAsLost()
    {
        await using var load = await StartedAsync();

        await AskAsync("SET", AcknowledgedWrites.NameOf(2), "another");
        await AskAsync("DEL", AcknowledgedWrites.NameOf(3));
        var report = await load.FinishAsync(Patience);

        Assert.Equal(2, report.Lost);
        Assert.True(report.ConnectionSurvived);
        Assert.NotNull(report.FirstComplaint);
    }

    [Fact]
    public async Task Finish_WhenTheConnectionWasCut_SaysSoAndStillJudgesTheWrites()
    {
        await using var load = await StartedAsync();

        await AskAsync("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        Assert.True(await load.IsAnsweredAfterAsync(Stopwatch.GetTimestamp(), Patience));
        var report = await load.FinishAsync(Patience);

        Assert.False(report.ConnectionSurvived);
        Assert.Equal((0, 0), (report.Lost, report.WrongAnswers));
    }

    [Fact]
    public async Task Finish_WhenTheServerForgotEverything_CountsEveryWriteAsLost()
    {
        await using var load = await StartedAsync();

        ProcessTable.TrySignal(_server.Id, ProcessTable.Kill);
        await _server.WaitForExitAsync();
        _server.Dispose();
        await InitializeAsync();
        Assert.True(await load.IsAnsweredAfterAsync(Stopwatch.GetTimestamp(), Patience));
        var report = await load.FinishAsync(Patience);

        Assert.False(report.ConnectionSurvived);
        Assert.True(report.Lost > 0);
        Assert.True(report.WrongAnswers > 0, "the counter began again and nobody complained");
    }

    [Fact]
    public async Task Finish_WhenTheServerIsGone_EndsWithinThePatience()
    {
        await using var load = await StartedAsync();

        ProcessTable.TrySignal(_server.Id, ProcessTable.Kill);
        await _server.WaitForExitAsync();
        var report = await load.FinishAsync(TimeSpan.FromMilliseconds(300));

        Assert.False(report.ConnectionSurvived);
        Assert.Equal(report.Acknowledged, report.Lost);
    }

    private async Task<RedisLoad> StartedAsync()
    {
        const int enough = 200;
        var load = RedisLoad.Start(lab.Cluster.OpenClientSocket, Server, seed: 1, Patience);
        await Polling.UntilAsync(() => load.Log.Count >= enough, Patience, () => "the load stands still");
        return load;
    }

    private async Task AskAsync(params string[] words)
    {
        using var socket = lab.Cluster.OpenClientSocket();
        await socket.ConnectAsync(Server);
        await socket.SendAsync(Resp.Command(words));
        var buffer = new byte[256];
        Assert.NotEqual(0, await socket.ReceiveAsync(buffer));
        Assert.NotEqual((byte)'-', buffer[0]);
    }
}

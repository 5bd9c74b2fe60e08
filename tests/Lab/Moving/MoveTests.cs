using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Judgement;
using Pollux.Lab.Hosts;
using Pollux.Lab.Tests.Labs;
using Pollux.Lab.Torture;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Moving;

/// <summary>Live migrations that nothing disturbs, and such that cannot be.</summary>
[Collection(MoveTestsCollection.Name)]
public sealed class MoveTests(MoveLab lab, ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public Task ToAndFro_UnderLoad_ConnectionLives() => RoundsAsync(4);

    [Fact]
    [Trait("Suite", "long")]
    public Task AHundredTimesToAndFro_UnderLoad_ConnectionLives() => RoundsAsync(100);

    /// <summary>The guest's own program would find a page that a migration spoilt.</summary>
    [Fact]
    public async Task PageOfTheGuestSpoilt_ItsChecksumSaysSo()
    {
        var (source, _) = await lab.WholeAsync();
        Assert.Null((await lab.ChecksumAsync()).Complaint);
        using var ram = GuestRam.Open(Assert.Single(lab.Cluster[source].FindQemus(lab.Vm.Name)));
        var address = await QuietPageAsync(ram);
        ram.Flip(address);
        Assert.Contains("must be", (await lab.ChecksumAsync()).Complaint, StringComparison.Ordinal);
        ram.Flip(address);
        Assert.Null((await lab.ChecksumAsync()).Complaint);
    }

    /// <summary>A frame that comes while the guest stands, and belongs to neither side yet, is repeated by nobody: ping asks once.</summary>
    [Fact]
    public Task FrameThatComesAfterTheHandOver_ReachesTheGuestAtItsDestination() => lab.JudgedAsync(async _ =>
    {
        var (_, destination) = await lab.WholeAsync();
        Task<ToolResult> asked;
        using (var armed = lab.Cluster.Arm(destination, lab.Vm.Name, "Does.RunGuest"))
        {
            await lab.BeginAsync(destination);
            await armed.ReachedAsync(Patience);
            asked = lab.Cluster.ExecAsync("client", ["busybox", "ping", "-c", "1", "-W", "20", $"{TortureLab.Redis.Address}"]);
            // As long as it takes ping to begin and to say it; the guest stands.
            await Task.Delay(500);
            Assert.False(asked.IsCompleted, "ping was answered, or did not ask, while the guest stood");
        }
        var answered = await asked;
        Assert.True(answered.ExitCode == 0, answered.Output);
        await lab.EndAsync(destination);
    });

    [Fact]
    public Task Cancelled_GuestRunsOn() => lab.JudgedAsync(async _ =>
    {
        var (source, destination) = await lab.WholeAsync();
        await lab.BeginAsync(destination, new MigrationSettings(BytesPerSecond: 10_000_000));
        await lab.Vm.UntilAsync(v => v.State == "moving", "moving", Patience);
        var cancelled = await lab.Cluster.ExecAsync(destination, ["pollux", "vm", "migrate", lab.Vm.Name.Value, "--cancel"]);
        Assert.True(cancelled.ExitCode == 0, cancelled.Errors);
        Assert.Equal((source, destination), await lab.WholeAsync());
        await lab.MoveAsync(destination);
    });

    [Fact]
    public Task TooLittleTime_IsGivenUp_AndSaysWhy() => lab.JudgedAsync(async _ =>
    {
        var (source, destination) = await lab.WholeAsync();
        var refused = await lab.Cluster.ExecAsync(source, ["pollux", "vm", "migrate", lab.Vm.Name.Value, "--to", destination, "--bandwidth", "5", "--deadline", "2"]);
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains($"it runs on {source}, unharmed", refused.Errors);
        Assert.Equal((source, destination), await lab.WholeAsync());
    });

    [Theory]
    [InlineData("h9", "the host h9 is not alive")]
    [InlineData("source", "already")]
    public async Task ToNoOtherHost_IsRefused(string to, string problem)
    {
        var (source, _) = await lab.WholeAsync();
        var e = await Assert.ThrowsAnyAsync<PolluxException>(() => Refused(to == "source" ? source : to));
        Assert.Contains(problem, e.Message);
        await lab.WholeAsync();

        async Task Refused(string host)
        {
            using var agent = Pollux.Cluster.Api.AgentClient.Local(lab.Cluster[source].AgentSocket);
            await agent.MigrateAsync(lab.Vm.Name, new Pollux.Cluster.Api.MigrateRequest(HostId.Create(host)), Patience, CancellationToken.None);
        }
    }

    /// <summary>Where a page of the program's is that it will not write for some time.</summary>
    private async Task<long> QuietPageAsync(GuestRam ram)
    {
        const ulong soon = 20_000;
        var now = await lab.ChecksumAsync();
        var (generations, later) = (KnownMemory.Generations(now.Pages, now.Writes), KnownMemory.Generations(now.Pages, now.Writes + soon));
        var quiet = (ulong)Enumerable.Range(0, generations.Length).First(n => generations[n] == later[n]);
        var page = new ulong[GuestRam.PageBytes / sizeof(ulong)];
        KnownMemory.Fill(page, quiet, generations[quiet]);
        return ram.Find(page) ?? throw new InvalidOperationException($"page {quiet} is nowhere in the guest's RAM");
    }

    private Task RoundsAsync(int rounds) => lab.JudgedAsync(async load =>
    {
        for (var round = 0; round < rounds; round++)
        {
            var (_, destination) = await lab.WholeAsync();
            var before = await lab.ChecksumAsync();
            Assert.Null(before.Complaint);
            var move = await lab.MoveAsync(destination);
            output.WriteLine($"{round}: {move.ElapsedMs:0} ms, {move.SentBytes >> 20} MiB, paused {move.PauseMs} ms (expected {move.PredictedPauseMs})");
            Assert.True(await load.IsAnsweredAfterAsync(System.Diagnostics.Stopwatch.GetTimestamp(), Patience), $"no answer after move {round}");
            var after = await lab.ChecksumAsync();
            Assert.Null(after.Complaint);
            Assert.True(after.Writes > before.Writes, $"nothing was written between {before} and {after}");
        }
    });
}

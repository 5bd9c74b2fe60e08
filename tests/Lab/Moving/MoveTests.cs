using Pollux.Cluster.Keepers;
using Pollux.Core;
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

    private Task RoundsAsync(int rounds) => lab.JudgedAsync(async load =>
    {
        for (var round = 0; round < rounds; round++)
        {
            var (_, destination) = await lab.WholeAsync();
            var move = await lab.MoveAsync(destination);
            output.WriteLine($"{round}: {move.ElapsedMs:0} ms, {move.SentBytes >> 20} MiB, paused {move.PauseMs} ms (expected {move.PredictedPauseMs})");
            Assert.True(await load.IsAnsweredAfterAsync(System.Diagnostics.Stopwatch.GetTimestamp(), Patience), $"no answer after move {round}");
        }
    });
}

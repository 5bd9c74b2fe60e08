using Pollux.Cli.Output;
using Pollux.Cluster.Keepers;
using Pollux.Core;

namespace Pollux.Unit.Tests.Cli.Output;

public sealed class MigrationWordsTests
{
    private static readonly MigrationStatus UnderWay = new(
        MigrationState.Moving, "mp", HostId.Create("h1"), HostId.Create("h2"), 1400, 3, 116_600_000, 4_000_000, 82e6, 60.4, 100, 0, "");

    [Fact]
    public void Beginning_SaysSo() => Assert.Equal("beginning", MigrationWords.Progress(UnderWay with { Iteration = 0 }));

    [Fact]
    public void UnderWay_TellsWhatIsLeft_AndThePauseOfNow() =>
        Assert.Equal("116.6 MB sent in 1.4 s (pass 3), 4 MB left at 82 MB/s; stopped now, a pause of 60 ms; about 0.1 s to go", MigrationWords.Progress(UnderWay));

    [Fact]
    public void ThrottledWithoutAnEnd_SaysBoth_AndWhatThePolicyThinks() =>
        Assert.EndsWith("no end in sight as it goes, guest held back by 20 %; it is busy", MigrationWords.Progress(UnderWay with { LeftMs = null, ThrottlePercent = 20, Why = "it is busy" }), StringComparison.Ordinal);

    [Fact]
    public void StandingGuest_SaysForWhat() =>
        Assert.Equal("116.6 MB sent in 1.4 s; waits for an arbiter", MigrationWords.Progress(UnderWay with { WaitsFor = "waits for an arbiter" }));

    [Fact]
    public void Over_TellsHowItEnded()
    {
        Assert.Equal("from h1 to h2, by mp: 1.4 s, 116.6 MB sent in 3 passes; it stood still for 61.5 ms (expected 60)", MigrationWords.Of(UnderWay with { State = MigrationState.Done, PauseMs = 61.5 }));
        Assert.Equal("from h1 to h2, by mp: it failed: no memory (after 1.4 s, 116.6 MB)", MigrationWords.Of(UnderWay with { State = MigrationState.Failed, Why = "no memory" }));
    }
}

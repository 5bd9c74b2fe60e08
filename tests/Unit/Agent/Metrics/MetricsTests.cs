using System.Text.RegularExpressions;
using Pollux.Agent.Metrics;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Unit.Tests.Agent.Metrics;

public sealed partial class MetricsTests
{
    private static readonly VmName Redis = VmName.Create("redis");
    private static readonly VmName Moving = VmName.Create("moving");
    private static readonly VmName Web = VmName.Create("web");
    private static readonly HostId H1 = HostId.Create("h1");
    private static readonly HostId H2 = HostId.Create("h2");

    [Fact]
    public void Page_OfAHostWithAllThereIs_IsSound()
    {
        var families = ExpositionReader.Read(MetricsPage.Write(Everything()));

        Assert.Equal(1, Value(families, "pollux_vm_protected", ("vm", "redis")));
        Assert.Equal(0.25, Value(families, "pollux_vm_lag_seconds", ("vm", "redis")));
        Assert.Equal(0, Value(families, "pollux_vm_keeper_answers", ("vm", "web")));
        Assert.Equal(1, Value(families, "pollux_vm_protection_wanted", ("vm", "redis")));
        Assert.Equal(0, Value(families, "pollux_host_alive", ("name", "h2")));
        Assert.Equal(0.15, Value(families, "pollux_vm_last_takeover_duration_seconds", ("vm", "redis"), ("part", "detect")));
        Assert.Equal(0.097, Value(families, "pollux_vm_migration_pause_seconds", ("vm", "redis"), ("from", "h2"), ("to", "h1")));
        Assert.Equal(40e6, Value(families, "pollux_vm_migration_remaining_bytes", ("vm", "moving")));
        var pauses = families.Single(f => f.Name == "pollux_vm_checkpoint_pause_seconds").Samples;
        Assert.Equal([2, 3, 3], pauses.Where(s => s.Name.EndsWith("_bucket", StringComparison.Ordinal)).Select(s => s.Value).Where((_, i) => i is 3 or 10 or 11));
    }

    [Fact]
    public void Page_OfAHostWithNothing_IsSound()
    {
        var nothing = new MetricsFacts(H1, "0.1.0", false, false, [], new Dictionary<HostId, bool>(), [], new Dictionary<VmName, KeeperStatus?>(), new Dictionary<VmName, long>());

        Assert.Equal(0, Value(ExpositionReader.Read(MetricsPage.Write(nothing)), "pollux_etcd_majority"));
    }

    [Fact]
    public void Families_AreExplained_AndNoOthers()
    {
        var section = Document.Read("operation.md").Split("## Metrics")[1].Split("\n## ")[0];
        var explained = section.Split('\n').Where(l => l.StartsWith("| `pollux_", StringComparison.Ordinal))
            .Select(l => l.Split('|')).ToDictionary(c => Name().Match(c[1]).Groups[1].Value, c => c[2].Trim());

        Assert.Equal(
            ExpositionReader.Read(MetricsPage.Write(Everything())).ToDictionary(f => f.Name, f => f.Type).OrderBy(f => f.Key),
            explained.OrderBy(f => f.Key));
    }

    [Fact]
    public void Exposition_OddWords_AreEscaped()
    {
        var page = new Exposition();
        page.Gauge("x", "a \\ and\na line", [new Sample(1.5e-7, ("l", "say \"no\"\n\\"))]);

        var family = Assert.Single(ExpositionReader.Read(page.ToString()));
        Assert.Equal(("say \"no\"\n\\", 1.5e-7), (family.Samples[0].Labels[0].Value, family.Samples[0].Value));
    }

    [Theory]
    [InlineData("# HELP a b\n# TYPE a gauge\na 1")]
    [InlineData("# HELP a b\n# TYPE a gauge\n")]
    [InlineData("# HELP a b\n# TYPE a counter\na 1\n")]
    [InlineData("# HELP a b\n# TYPE a gauge\nb 1\n")]
    [InlineData("# HELP a b\n# TYPE a gauge\na 1\na 2\n")]
    [InlineData("# HELP a b\n# TYPE a gauge\na{l=\"x\" 2\n")]
    [InlineData("# HELP a b\n# TYPE a gauge\na{1=\"x\"} 2\n")]
    [InlineData("# TYPE a gauge\na 1\n")]
    [InlineData("# HELP a b\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n")]
    public void Reader_OfWhatIsNotSound_Refuses(string text) => Assert.ThrowsAny<FormatException>(() => ExpositionReader.Read(text));

    [Fact]
    public void TakeoverCount_CountsEachOnce()
    {
        var count = new TakeoverCount(sinceUnixMs: 0);
        count.Note(Keeper(Redis, "primary", "protected") with { LastTakeover = null });
        Assert.Equal(0, count.Counts()[Redis]);
        count.Note(Keeper(Redis, "primary", "protected"));
        count.Note(Keeper(Redis, "primary", "protected"));
        count.Note(Keeper(Redis, "standby", "standby-ready") with { LastTakeover = null });
        Assert.Equal(1, count.Counts()[Redis]);
        count.Note(Keeper(Redis, "primary", "protected") with { LastTakeover = new TakeoverStatus("", 1, 2, 3, 4, 5_000_000, 6) });
        Assert.Equal(2, count.Counts()[Redis]);
    }

    [Fact]
    public void TakeoverCount_OneFromBeforeTheAgentBegan_DoesNotCount()
    {
        var count = new TakeoverCount(sinceUnixMs: 10_000_000);
        count.Note(Keeper(Redis, "primary", "protected") with { LastTakeover = new TakeoverStatus("", 1, 2, 3, 4, 5_000_000, 6) });
        Assert.Equal(0, count.Counts()[Redis]);
        count.Note(Keeper(Redis, "primary", "protected") with { LastTakeover = new TakeoverStatus("", 1, 2, 3, 4, 15_000_000, 6) });
        Assert.Equal(1, count.Counts()[Redis]);
    }

    private static double Value(IReadOnlyList<MetricFamily> families, string name, params (string Name, string Value)[] labels) =>
        families.Single(f => f.Name == name).Samples.Single(s => labels.All(l => s.Labels.Contains(new(l.Name, l.Value)))).Value;

    private static MetricsFacts Everything() => new(
        H1, "0.1.0", true, true, [new EtcdMemberView("https://10.77.0.1:2379", 1, "h1", true, true, "3.4")],
        new Dictionary<HostId, bool> { [H1] = true, [H2] = false },
        [VmView.Unknown(Redis) with
        {
            Record = new VmRecord(Redis, "", H1, Run: true, Protect: true, null),
            Role = new Role(7, RoleState.Protected, new Member(H1, Incarnation.New()), new Member(H2, Incarnation.New()), "n", "why"),
        }],
        new Dictionary<VmName, KeeperStatus?>
        {
            [Redis] = Keeper(Redis, "primary", "protected") with { Migration = Move(MigrationState.Done) with { PauseMs = 97 } },
            [Moving] = Keeper(Moving, "primary", "moving") with { Migration = Move(MigrationState.Moving) },
            [VmName.Create("other")] = Keeper(VmName.Create("other"), "standby", "standby-ready"),
            [Web] = null,
        },
        new Dictionary<VmName, long> { [Redis] = 2 });

    private static MigrationStatus Move(MigrationState state) => new(state, "mp", H2, H1, 2_500, 1, 150_000_000, 40_000_000, 128e6, 80, 1_000, 0, "");

    private static KeeperStatus Keeper(VmName vm, string side, string phase)
    {
        var pauses = new long[PauseHistogram.UpperMs.Count + 1];
        (pauses[3], pauses[5]) = (2, 1);
        return new KeeperStatus(
            vm, H1, Incarnation.New(), 1, 2, side, phase, "", null, "7.2.22", "tcg",
            new CheckpointStatus(12, 10, 3, new(1, 2, 3), new(1, 2, 3), 250, 8192, new PauseHistogram(pauses, 17.5)),
            new BufferStatus(1, 2, 3, 4), new NetworkStatus(1, 2, 3, 4, 5), new TakeoverStatus("silent", 150, 40, 30, 1e12, 2_000_000, 9), new ProtectionSettings(), true,
            new ScrubStatus(32, 1, 0, null, null), new ShippingStatus(1000, 200, 1, 2, 3, 4, 5, Link: new LinkStatus(true, 300, 100, 900, 400, 5, 5, 4, 5)));
    }

    [GeneratedRegex("`(pollux_[a-z_]+)")]
    private static partial Regex Name();
}

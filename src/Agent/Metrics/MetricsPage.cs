using Pollux.Cluster.Keepers;
using Pollux.Replication.Pair;

namespace Pollux.Agent.Metrics;

/// <summary>What this host tells Prometheus: a pure function of the facts. docs/operation.md has a line for each family, and a test that it has.</summary>
internal static class MetricsPage
{
    public static string Write(MetricsFacts facts)
    {
        var page = new Exposition();
        WriteHost(page, facts);
        WriteWishes(page, facts);
        var keepers = facts.Keepers.Values.OfType<KeeperStatus>().OrderBy(k => k.Vm.Value, StringComparer.Ordinal).ToList();
        page.Gauge("pollux_vm_keeper_answers", "Whether the VM's keeper on this host answers its agent.",
            facts.Keepers.OrderBy(k => k.Key.Value, StringComparer.Ordinal).Select(k => Sample.Of(k.Value is not null, ("vm", k.Key.Value))));
        WriteSides(page, keepers);
        var primaries = keepers.Where(k => k.Side == "primary").ToList();
        WriteCheckpoints(page, primaries);
        WriteShipping(page, [.. primaries.Where(k => k.Shipping is not null)]);
        WriteFrames(page, primaries);
        WriteTakeovers(page, facts, primaries);
        WriteMigrations(page, primaries);
        return page.ToString();
    }

    private static void WriteHost(Exposition page, MetricsFacts facts)
    {
        page.Gauge("pollux_agent_info", "The agent that tells this.", [new Sample(1, ("host", facts.Host.Value), ("version", facts.Version))]);
        page.Gauge("pollux_host_lease_alive", "Whether this host's lease is alive, as its agent knows.", [Sample.Of(facts.LeaseAlive)]);
        page.Gauge("pollux_host_alive", "Whether a host of the cluster is alive, as the store told this agent last.",
            facts.Alive.OrderBy(h => h.Key.Value, StringComparer.Ordinal).Select(h => Sample.Of(h.Value, ("name", h.Key.Value))));
        page.Gauge("pollux_etcd_majority", "Whether a majority of etcd answered this agent within the last 3 s.", [Sample.Of(facts.EtcdMajority)]);
        page.Gauge("pollux_etcd_member_answers", "Whether a member of etcd answers this agent with a majority behind it.",
            facts.Etcd.Select(m => Sample.Of(m.Answers, ("endpoint", m.Endpoint))));
    }

    /// <summary>Told by every agent alike, so that a VM whose host is dead is not forgotten: take the maximum over hosts.</summary>
    private static void WriteWishes(Exposition page, MetricsFacts facts)
    {
        var vms = facts.Vms.Where(v => v.Record is not null).OrderBy(v => v.Name.Value, StringComparer.Ordinal).ToList();
        page.Gauge("pollux_vm_run_wanted", "Whether the VM shall run.", vms.Select(v => Sample.Of(v.ShallRun, ("vm", v.Name.Value))));
        page.Gauge("pollux_vm_protection_wanted", "Whether the VM shall run and have a standby.",
            vms.Select(v => Sample.Of(v is { ShallRun: true, Record.Protect: true }, ("vm", v.Name.Value))));
        page.Gauge("pollux_vm_role", "1 for what the role key says of the VM.", vms.Where(v => v.Role is not null).Select(v => new Sample(
            1, ("vm", v.Name.Value), ("state", NameOf(v.Role!.State)), ("primary", v.Role.Primary.Host.Value), ("standby", v.Role.Standby?.Host.Value ?? ""))));
        page.Gauge("pollux_vm_role_term", "The role's term: how often it has been swapped.",
            vms.Where(v => v.Role is not null).Select(v => new Sample(v.Role!.Term, ("vm", v.Name.Value))));
    }

    private static string NameOf(RoleState state) => state.ToString().ToLowerInvariant();

    private static void WriteSides(Exposition page, IReadOnlyList<KeeperStatus> keepers)
    {
        IEnumerable<Sample> All(Func<KeeperStatus, double> value) => keepers.Select(k => new Sample(value(k), ("vm", k.Vm.Value), ("side", k.Side)));

        page.Gauge("pollux_vm_phase", "1 for the phase that this host's side of the VM is in.",
            keepers.Select(k => new Sample(1, ("vm", k.Vm.Value), ("side", k.Side), ("phase", k.Phase))));
        page.Gauge("pollux_vm_arbiter_answers", "Whether a majority of etcd answers this side's keeper; without it no takeover and no solo.", All(k => k.HasArbiter ? 1 : 0));
        page.Gauge("pollux_vm_buffer_used_bytes", "Epoch buffers that hold something.", All(k => k.Buffers.UsedBytes));
        page.Gauge("pollux_vm_buffer_allocated_bytes", "Epoch buffers, grown and shrunk with what checkpoints have.", All(k => k.Buffers.AllocatedBytes));
        page.Gauge("pollux_vm_buffer_target_bytes", "What the buffers are grown or shrunk to.", All(k => k.Buffers.TargetBytes));
        page.Gauge("pollux_vm_buffer_ceiling_bytes", "What they never exceed.", All(k => k.Buffers.CeilingBytes));
        page.Counter("pollux_vm_buffer_waits_total", "How often a cut waited for the link, or a capture for memory.", All(k => k.Buffers.WaitedForSpace));
        page.Counter("pollux_vm_scrubbed_pages_total", "Pages hashed (primary) or compared (standby) in this protection.", All(k => k.Scrub?.Pages ?? 0));
        page.Counter("pollux_vm_scrub_rounds_total", "How often all of the RAM was hashed in this protection.", All(k => k.Scrub?.Rounds ?? 0));
        page.Counter("pollux_vm_scrub_alarms_total", "Standbys found with wrong memory.", All(k => k.Scrub?.Alarms ?? 0));
    }

    private static void WriteCheckpoints(Exposition page, IReadOnlyList<KeeperStatus> primaries)
    {
        IEnumerable<Sample> All(Func<KeeperStatus, double> value) => primaries.Select(k => new Sample(value(k), Vm(k)));
        var isProtected = primaries.Where(k => k.Phase == "protected").ToList();

        page.Gauge("pollux_vm_protected", "1 while a loss of this host would lose nothing that the guest has acknowledged.", All(k => k.Phase == "protected" ? 1 : 0));
        page.Counter("pollux_vm_checkpoints_total", "Cuts of this protection.", All(k => k.Checkpoints.Count));
        page.Counter("pollux_vm_commits_total", "Of these, acknowledged by the standby.", All(k => Math.Max(0, k.Checkpoints.Committed)));
        page.Histogram("pollux_vm_checkpoint_pause_seconds", "How long the guest stood still for a checkpoint, by QEMU's own times.",
            primaries.Where(k => k.Checkpoints.Pauses is not null).Select(k => new HistogramSample(
                [.. PauseHistogram.UpperMs.Select(ms => ms / 1000)], k.Checkpoints.Pauses!.Counts, k.Checkpoints.Pauses.SumMs / 1000, Vm(k))));
        page.Gauge("pollux_vm_lag_seconds", "Protected: the age of the last committed cut, to which a takeover would go back.",
            isProtected.Select(k => new Sample(k.Checkpoints.LagMs / 1000, Vm(k))));
        page.Gauge("pollux_vm_uncommitted_bytes", "Protected: pages of cuts that are on their way.", isProtected.Select(k => new Sample(k.Checkpoints.UncommittedBytes, Vm(k))));
    }

    private static void WriteShipping(Exposition page, IReadOnlyList<KeeperStatus> primaries)
    {
        page.Counter("pollux_vm_captured_bytes_total", "RAM as QEMU gave it after the first copy.", primaries.Select(k => new Sample(k.Shipping!.CapturedBytes, Vm(k))));
        page.Counter("pollux_vm_shipped_bytes_total", "What of it was shipped, before compression.", primaries.Select(k => new Sample(k.Shipping!.ShippedBytes, Vm(k))));
        var links = primaries.Where(k => k.Shipping!.Link is not null).ToList();
        page.Counter("pollux_vm_link_bytes_total", "Epochs on the link, memory and devices' state, without what TLS adds.", links.SelectMany(k => new[]
        {
            new Sample(k.Shipping!.Link!.FirstSentBytes, Vm(k), ("copy", "first")), new Sample(k.Shipping.Link.SentBytes, Vm(k), ("copy", "changes")),
        }));
        page.Counter("pollux_vm_link_uncompressed_bytes_total", "The same, had nothing been compressed.", links.SelectMany(k => new[]
        {
            new Sample(k.Shipping!.Link!.FirstBytes, Vm(k), ("copy", "first")), new Sample(k.Shipping.Link.Bytes, Vm(k), ("copy", "changes")),
        }));
        page.Gauge("pollux_vm_link_compressed", "1 while the memory that goes over the link is compressed.", links.Select(k => new Sample(k.Shipping!.Link!.IsCompressing ? 1 : 0, Vm(k))));
        page.Counter("pollux_vm_pages_total", "Dirty pages by what was shipped of them.", primaries.SelectMany(k => new[]
        {
            new Sample(k.Shipping!.UnchangedPages, Vm(k), ("shipped", "nothing")), new Sample(k.Shipping.ZeroPages, Vm(k), ("shipped", "zero")),
            new Sample(k.Shipping.PartPages, Vm(k), ("shipped", "part")), new Sample(k.Shipping.WholePages, Vm(k), ("shipped", "whole")),
        }));
    }

    private static void WriteFrames(Exposition page, IReadOnlyList<KeeperStatus> primaries)
    {
        IEnumerable<Sample> All(Func<NetworkStatus, double> value) => primaries.Select(k => new Sample(value(k.Network), Vm(k)));

        page.Gauge("pollux_vm_frames_held", "Frames of the guest that wait for their epoch's commit.", All(n => n.EgressHeldFrames));
        page.Counter("pollux_vm_frames_released_total", "Frames of the guest that have left.", All(n => n.EgressReleasedFrames));
        page.Counter("pollux_vm_frames_received_total", "Frames that reached the guest.", All(n => n.IngressFrames));
        page.Counter("pollux_vm_frames_dropped_total", "Frames for the guest that QEMU had no room for.", All(n => n.EgressDroppedFrames));
        page.Counter("pollux_vm_frames_replayed_total", "Frames given to the guest again after a takeover.", All(n => n.ReplayedFrames));
        page.Counter("pollux_vm_frames_repeated_total", "Frames of the guest's last two commits that were let out again after a takeover.", All(n => n.RepeatedFrames));
        page.Gauge("pollux_vm_network_failed", "1 once the relay between the guest and the bridge has failed.", All(n => n.Failure is null ? 0 : 1));
    }

    private static void WriteTakeovers(Exposition page, MetricsFacts facts, IReadOnlyList<KeeperStatus> primaries)
    {
        var last = primaries.Where(k => k.LastTakeover is not null).ToList();
        page.Counter("pollux_vm_takeovers_total", "Takeovers that this host has won since its agent began.",
            facts.Takeovers.OrderBy(t => t.Key.Value, StringComparer.Ordinal).Select(t => new Sample(t.Value, ("vm", t.Key.Value))));
        page.Gauge("pollux_vm_last_takeover_timestamp_seconds", "When the guest that runs here was taken over.",
            last.Select(k => new Sample(k.LastTakeover!.GateOpenUnixMs / 1000, Vm(k))));
        page.Gauge("pollux_vm_last_takeover_info", "1, and why the guest that runs here was taken over.",
            last.Select(k => new Sample(1, Vm(k), ("reason", k.LastTakeover!.Reason))));
        page.Gauge("pollux_vm_last_takeover_duration_seconds", "How long each part of that took.", last.SelectMany(k => new[]
        {
            new Sample(k.LastTakeover!.DetectMs / 1000, Vm(k), ("part", "detect")), new Sample(k.LastTakeover.ArbitrateMs / 1000, Vm(k), ("part", "arbitrate")),
            new Sample(k.LastTakeover.ResumeMs / 1000, Vm(k), ("part", "resume")),
        }));
    }

    /// <summary>The one under way from here, or the last one from or to here.</summary>
    private static void WriteMigrations(Exposition page, IReadOnlyList<KeeperStatus> primaries)
    {
        var all = primaries.Where(k => k.Migration is not null).ToList();
        (string, string)[] Labels(KeeperStatus k) => [Vm(k), ("from", k.Migration!.From.Value), ("to", k.Migration.To.Value)];
        var moving = all.Where(k => k.Migration!.State == MigrationState.Moving).ToList();
        var done = all.Where(k => k.Migration is { State: MigrationState.Done, PauseMs: not null }).ToList();

        page.Gauge("pollux_vm_migration", "1 for what has become of the last live migration that this host's keeper took part in.",
            all.Select(k => new Sample(1, [.. Labels(k), ("policy", k.Migration!.Policy), ("state", k.Migration.State.ToString().ToLowerInvariant())])));
        page.Gauge("pollux_vm_migration_sent_bytes", "What it has sent.", all.Select(k => new Sample(k.Migration!.SentBytes, Labels(k))));
        page.Gauge("pollux_vm_migration_duration_seconds", "How long it has taken.", all.Select(k => new Sample(k.Migration!.ElapsedMs / 1000, Labels(k))));
        page.Gauge("pollux_vm_migration_remaining_bytes", "Under way: what QEMU knows to be left.", moving.Select(k => new Sample(k.Migration!.RemainingBytes, Labels(k))));
        page.Gauge("pollux_vm_migration_pause_seconds", "Done: for how long the guest stood still.", done.Select(k => new Sample(k.Migration!.PauseMs!.Value / 1000, Labels(k))));
    }

    private static (string, string) Vm(KeeperStatus keeper) => ("vm", keeper.Vm.Value);
}

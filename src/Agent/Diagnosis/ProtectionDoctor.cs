using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Qemu.Probing;
using Pollux.Replication.Pair;

namespace Pollux.Agent.Diagnosis;

/// <summary>
/// Why a VM is not protected, and what to do: a pure function. It walks what protection needs, in the order in which one thing needs the other:
/// wish, etcd, the guest's host, its keeper and QEMU, a second host, the standby. The first that is missing is the answer.
/// </summary>
internal static class ProtectionDoctor
{
    private const double LagMsMost = 2_000;

    public static ProtectionDiagnosis Examine(ProtectionFacts facts)
    {
        List<Finding> findings = [.. facts.Vm.Damage is { } damage
            ? [new Finding("record", Verdict.Missing, damage, "restore it from a backup of etcd; the guest runs on meanwhile")]
            : Walk(facts)];
        var answer = findings.FirstOrDefault(f => f.Verdict == Verdict.Missing)
            ?? findings.FirstOrDefault(f => f.Verdict == Verdict.NotConfigured)
            ?? findings.FirstOrDefault(f => f.Verdict == Verdict.Warning)
            ?? findings[^1];
        return new ProtectionDiagnosis(
            facts.Vm.Name, answer.Verdict, IsProtected(facts) ? Protected(answer) : $"not protected: {answer.Sentence}", answer.NextStep, findings);
    }

    private static string Protected(Finding answer) => answer.Verdict == Verdict.Ok ? answer.Sentence : $"protected, but {answer.Sentence}";

    private static IEnumerable<Finding> Walk(ProtectionFacts facts)
    {
        yield return Wish(facts);
        yield return Etcd(facts);
        yield return Host(facts);
        if (!facts.Vm.ShallRun && facts.Vm.Role is null or { State: RoleState.Stopped })
        {
            foreach (var finding in OtherHosts(facts))
            {
                yield return finding;
            }
            yield break;
        }
        var keeper = Keeper(facts);
        yield return keeper;
        if (keeper.Verdict == Verdict.Missing)
        {
            yield break;
        }
        if (facts.Unprotectable is { } unprotectable)
        {
            yield return new Finding("checkpoints", Verdict.Missing, unprotectable.Problem, unprotectable.NextStep ?? "'pollux doctor' on that host says what its QEMU can");
        }
        if (!IsProtected(facts))
        {
            var others = OtherHosts(facts).ToList();
            foreach (var finding in others)
            {
                yield return finding;
            }
            if (others.All(f => f.Verdict == Verdict.Missing))
            {
                yield break;
            }
        }
        yield return Standby(facts);
    }

    private static Finding Wish(ProtectionFacts facts) => facts switch
    {
        { Spec.Problem: { } problem } => new("wish", Verdict.Missing, problem, "delete the VM and define it anew"),
        { Spec.FaultTolerant: false } => new("wish", Verdict.NotConfigured, "its spec does not ask for fault tolerance", "define it with 'availability: faultTolerant'; one that is defined otherwise is stopped and deleted first"),
        { Vm.ShallRun: false } => new("wish", Verdict.NotConfigured, $"it is stopped{Because(facts.Vm.Role?.Reason)}", $"pollux vm start {facts.Vm.Name}"),
        { Vm.Record.Protect: false } => new("wish", Verdict.NotConfigured, "nobody has asked for it", $"pollux vm protect {facts.Vm.Name}"),
        _ => new("wish", Verdict.Ok, "it shall run and be protected"),
    };

    private static Finding Etcd(ProtectionFacts facts)
    {
        var silent = facts.Etcd.Where(m => m.Version is null).Select(NameOf).ToList();
        var who = string.Join(", ", silent);
        if (!facts.HasMajority)
        {
            return new("etcd", Verdict.Missing,
                $"no majority of etcd answers {facts.Me}{(silent.Count > 0 ? $" ({who} {(silent.Count == 1 ? "is" : "are")} silent)" : "")}: {(facts.Sides.FirstOrDefault(s => s.Status is { Phase: "taking" }) is { } taker ? $"{taker.Host} cannot take over ({taker.Status!.Note})" : "no standby takes over, and none is found")}",
                $"start etcd{(silent.Count > 0 ? $" on {who}" : "")}, or mend the network to it");
        }
        return silent.Count > 0
            ? new("etcd", Verdict.Warning, $"{who} {(silent.Count == 1 ? "does" : "do")} not answer {facts.Me}: should one more be lost there is no majority, and no takeover until it is back", $"start etcd on {who}, or mend the network to it")
            : new("etcd", Verdict.Ok, "all members answer");
    }

    private static string NameOf(EtcdMemberView member) => member.Name.Length > 0 ? member.Name : member.Endpoint;

    private static Finding Host(ProtectionFacts facts) => !facts.HasMajority && facts.SideOn(facts.Primary)?.Status is null
        ? new("host", Verdict.Warning, $"whether {facts.Primary} is alive only etcd can tell", $"mend etcd first, then look at {facts.Primary}")
        : facts.Alive.ContainsKey(facts.Primary)
        ? new("host", Verdict.Ok, $"{facts.Primary} is alive")
        : new("host", Verdict.Missing, facts.Vm.Role is { State: RoleState.Protected or RoleState.Taking, Standby: { } standby }
                ? $"{facts.Primary}, which runs it, is not alive, and {standby.Host} has not taken over"
                : $"{facts.Primary} is not alive, and has the only copy of it", $"switch {facts.Primary} on, or start polluxd there");

    private static Finding Keeper(ProtectionFacts facts) => facts.SideOn(facts.Primary) switch
    {
        { Error: not null } when facts.Primary != facts.Me => new("guest", Verdict.Missing, $"{facts.Primary}, which runs it, does not answer {facts.Me}{(facts.HasMajority ? ", though its lease is alive" : "")}",
            $"ask there: pollux doctor {facts.Vm.Name}; and check the cluster's network between {facts.Primary} and {facts.Me}"),
        { Error: { } error } => new("guest", Verdict.Missing, $"its keeper cannot be asked: {error}", $"look on {facts.Primary}: its agent's log, and keeper.log in the VM's run directory"),
        { StartFailure: { } failure, Status: not { Phase: "protected" or "running" or "syncing" } } => new("guest", Verdict.Missing, $"it does not start on {facts.Primary}: {failure}", "correct that; it is tried again by itself"),
        { Status: { Side: "primary", Phase: "holding" } status } => new("guest", Verdict.Warning, $"it waits on {facts.Primary}: {status.Note}", "it goes on when a majority of etcd has decided"),
        { Status: { Side: "primary", Phase: "running" or "protected", Network.Failure: { } failure } } => new("guest", Verdict.Warning, failure,
            facts.Vm.Role is { State: RoleState.Protected } ? $"move it: pollux vm takeover {facts.Vm.Name}" : "start the VM anew"),
        { Status: { Side: "primary", Phase: "running" or "syncing" or "protected" } status } => new("guest", Verdict.Ok, $"runs on {facts.Primary} (QEMU {status.QemuVersion}, {status.Accelerator})"),
        { Status: { } status } => new("guest", Verdict.Warning, $"it is {status.Phase} on {facts.Primary}{Because(status.Note)}", "wait some seconds"),
        _ => new("guest", Verdict.Missing, $"no keeper of it lives on {facts.Primary}", "its agent starts one within seconds; if it does not, see its log"),
    };

    /// <summary>Whether some host could stand by; what each lacks.</summary>
    private static IEnumerable<Finding> OtherHosts(ProtectionFacts facts)
    {
        var others = facts.Alive.Keys.Where(h => h != facts.Primary).OrderBy(h => h.Value, StringComparer.Ordinal).ToList();
        if (others.Count == 0)
        {
            yield return new("second host", Verdict.Missing, $"no other host than {facts.Primary} is alive", $"switch a second host on, or start polluxd there{LastStandby(facts)}; see 'pollux host list'");
            yield break;
        }
        var lacks = others.ToDictionary(h => h, h => LackOf(facts, h));
        var verdict = lacks.Values.Contains(null) ? Verdict.Warning : Verdict.Missing;
        foreach (var (host, lack) in lacks)
        {
            yield return lack is null
                ? new("second host", Verdict.Ok, $"{host} could stand by")
                : new("second host", verdict, $"{host} cannot stand by: {lack.Problem}", lack.NextStep);
        }
    }

    private static string LastStandby(ProtectionFacts facts) =>
        facts.Vm.Record?.PreferredStandby is { } preferred && preferred != facts.Primary ? $" ({preferred} is the preferred one)" : "";

    private static Obstacle? LackOf(ProtectionFacts facts, HostId host)
    {
        var record = facts.Alive[host];
        if (facts.SideOn(facts.Primary)?.Status is { } guest && Difference(guest, record, facts.Spec.AnyAccelerator) is { } difference)
        {
            return new Obstacle(difference, $"install the same QEMU on {facts.Primary} and {host}; a VM changes to another at its next start");
        }
        return facts.Readiness.GetValueOrDefault(host);
    }

    private static string? Difference(KeeperStatus guest, HostRecord host, bool anyAccelerator) => host switch
    {
        _ when host.QemuVersion != guest.QemuVersion => $"it has QEMU {host.QemuVersion}, and the guest runs in {guest.QemuVersion}",
        _ when anyAccelerator && host.Accelerator != guest.Accelerator && host.Accelerator != HostRecord.AcceleratorUnknown =>
            $"guests run by {host.Accelerator} there, and this one by {guest.Accelerator}",
        _ => null,
    };

    private static Finding Standby(ProtectionFacts facts)
    {
        const string subject = "standby";
        if (IsProtected(facts))
        {
            return Standing(facts, subject);
        }
        var guest = facts.SideOn(facts.Primary)?.Status;
        if (guest is { Phase: "syncing" })
        {
            return new(subject, Verdict.Warning, $"it is on its way: {guest.Note}", "wait; a slow link takes as long as the guest's memory needs to cross it");
        }
        if (facts.Vm.Record is not { Protect: true })
        {
            return new(subject, Verdict.NotConfigured, "none is wanted");
        }
        var assigned = facts.Vm.Assignment;
        var endpoint = assigned is null ? null : facts.Vm.Endpoints.GetValueOrDefault(assigned.Host);
        var why = facts.SideOn(facts.Primary)?.Note;
        return (endpoint, why) switch
        {
            ({ State: StandbyState.Failed, Why: { } failure }, null) => Failed(endpoint.Host, failure),
            (_, { } note) => IsOfLink(note) ? Link(facts, assigned?.Host, note) : new(
                subject, Verdict.Missing, note, note.Contains("rehearsal failed", StringComparison.Ordinal)
                    ? $"compare QEMU and what it is given on {facts.Primary} and {assigned?.Host.Value ?? "the other host"}; it is tried again by itself"
                    : "it is tried again by itself; 'pollux events' tells how each attempt ended"),
            ({ State: StandbyState.Preparing }, _) => new(subject, Verdict.Warning, $"it is on its way: {endpoint!.Host} prepares", "wait some seconds"),
            _ when assigned is not null => new(subject, Verdict.Warning, $"it is on its way: {assigned.Host} was asked to stand by", "wait some seconds"),
            _ => new(subject, Verdict.Warning, "it is on its way: a host is being chosen", "wait some seconds"),
        };

        Finding Failed(HostId host, string failure) => IsOfLink(failure)
            ? Link(facts, host, failure)
            : new(subject, Verdict.Missing, $"{host} could not stand by: {failure}", $"it is tried again by itself; see keeper.log of the VM on {host}");
    }

    private static Finding Standing(ProtectionFacts facts, string subject)
    {
        var host = facts.Vm.Role!.Standby!.Host;
        var guest = facts.SideOn(facts.Primary)!.Status!;
        return facts.SideOn(host) switch
        {
            { Error: { } error } => new(subject, Verdict.Warning, $"{host} cannot be asked ({error}), though its keeper answers the guest's", $"look at polluxd on {host}"),
            { Status.HasArbiter: false } => new(subject, Verdict.Missing, $"no majority of etcd answers {host}: it would not take over", $"mend etcd, or its network to {host}"),
            _ when guest.Checkpoints.LagMs > LagMsMost => new(
                subject, Verdict.Warning, $"nothing was committed for {guest.Checkpoints.LagMs / 1000:0.0} s: the link to {host}, or {host} itself, is slow", $"look at the network between {facts.Primary} and {host}, and at the load of {host}"),
            _ => new(subject, Verdict.Ok, $"protected: {host} stands by"),
        };
    }

    /// <summary>Keepers say of what failed between them that it was the link.</summary>
    private static bool IsOfLink(string words) =>
        words.Contains("the link to", StringComparison.Ordinal) || words.Contains("cannot be reached on", StringComparison.Ordinal) || words.Contains("does not answer on", StringComparison.Ordinal)
        || words.Contains("is silent for", StringComparison.Ordinal);

    /// <summary>The host that a keeper's words name: another one may have been chosen since.</summary>
    private static HostId? HostIn(ProtectionFacts facts, string words) => facts.Alive.Keys.Concat(facts.Vm.Endpoints.Keys)
        .Where(h => h != facts.Primary && words.StartsWith($"{h} ", StringComparison.Ordinal)).Cast<HostId?>().FirstOrDefault();

    private static Finding Link(ProtectionFacts facts, HostId? host, string words) => new(
        "standby", Verdict.Missing, words, $"check the cluster's network between {facts.Primary} and {(HostIn(facts, words) ?? host)?.Value ?? "the other hosts"}: cables, switch, firewall (a standby listens on a port of the kernel's choice)");

    private static bool IsProtected(ProtectionFacts facts) =>
        facts.Vm.Role is { State: RoleState.Protected, Standby: not null } && facts.SideOn(facts.Primary)?.Status is { Side: "primary", Phase: "protected" };

    private static string Because(string? reason) => string.IsNullOrEmpty(reason) ? "" : $" ({reason})";
}

using Pollux.Agent.Diagnosis;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Qemu.Probing;
using Pollux.Replication.Pair;

namespace Pollux.Unit.Tests.Agent.Diagnosis;

/// <summary>What a person is told of a VM 'redis' on h1 whose standby would be on h2.</summary>
public sealed class ProtectionDoctorTests
{
    private static readonly VmName Redis = VmName.Create("redis");
    private static readonly HostId H1 = HostId.Create("h1");
    private static readonly HostId H2 = HostId.Create("h2");

    [Fact]
    public void Protected_ByAWholePair_IsSound() => Expect(Pair(), Verdict.Ok, "protected: h2 stands by", null);

    [Fact]
    public void Wish_ThatIsNotThere_ComesFirst()
    {
        Expect(Alone() with { Vm = View(protect: false) }, Verdict.NotConfigured, "not protected: nobody has asked for it", "pollux vm protect redis");
        Expect(Alone() with { Vm = View(run: false, role: Role(RoleState.Stopped, "the guest shut down")) }, Verdict.NotConfigured, "not protected: it is stopped (the guest shut down)", "pollux vm start redis");
        Expect(Alone() with { Spec = new SpecFacts(false, true, null) }, Verdict.NotConfigured, "not protected: its spec does not ask for fault tolerance", "define it with 'availability: faultTolerant'; one that is defined otherwise is stopped and deleted first");
        Expect(Alone() with { Vm = VmView.Unknown(Redis) with { Damage = "the role key holds no role" } }, Verdict.Missing,
            "not protected: the role key holds no role", "restore it from a backup of etcd; the guest runs on meanwhile");
    }

    [Fact]
    public void Etcd_WithoutMajority_NamesWhoIsSilent() => Expect(Pair() with { HasMajority = false, Etcd = [Member("h1", "3.4"), Member("h2", null), Member("w", null)] }, Verdict.Missing,
        "protected, but no majority of etcd answers h1 (h2, w are silent): no standby takes over, and none is found", "start etcd on h2, w, or mend the network to it");

    [Fact]
    public void Etcd_WithoutMajorityWhenAStandbyWouldTakeOver_SaysWho() => Expect(
        Pair() with { Me = H2, HasMajority = false, Sides = [new KeeperOnHost(H1, null, "h1 does not answer"), Side(H2, "standby", "taking", note: "the primary is silent for 152 ms")] }, Verdict.Missing,
        "not protected: no majority of etcd answers h2: h2 cannot take over (the primary is silent for 152 ms)", "start etcd, or mend the network to it");

    [Fact]
    public void Network_ThatFailed_IsABlemishOfAProtectedGuest()
    {
        var side = Side(H1, "primary", "protected");
        var cutOff = side with { Status = side.Status! with { Network = new NetworkStatus(0, 0, 0, 0, 0, Failure: "the guest is cut off from its network: plx0: gone") } };
        Expect(Pair() with { Sides = [cutOff, Side(H2, "standby", "standby-ready")] }, Verdict.Warning,
            "protected, but the guest is cut off from its network: plx0: gone", "move it: pollux vm takeover redis");
    }

    [Fact]
    public void Etcd_OneMemberSilent_IsABlemish() => Expect(Pair() with { Etcd = [Member("h1", "3.4"), Member("h2", "3.4"), Member("w", null)] }, Verdict.Warning,
        "protected, but w does not answer h1: should one more be lost there is no majority, and no takeover until it is back", "start etcd on w, or mend the network to it");

    [Fact]
    public void Host_ThatIsDeadWithTheOnlyCopy_MustComeBack() => Expect(
        Alone() with { Alive = Alive(H2), Me = H2, Sides = [new KeeperOnHost(H1, null, "the host h1 is not alive")] }, Verdict.Missing,
        "not protected: h1 is not alive, and has the only copy of it", "switch h1 on, or start polluxd there");

    [Fact]
    public void Host_ThatDoesNotAnswerThisOne_IsToBeAskedItself() => Expect(
        Pair() with { Me = H2, Sides = [new KeeperOnHost(H1, null, "h1 does not answer")] }, Verdict.Missing,
        "not protected: h1, which runs it, does not answer h2, though its lease is alive",
        "ask there: pollux doctor redis; and check the cluster's network between h1 and h2");

    [Fact]
    public void Guest_ThatDoesNotStart_SaysWhy() => Expect(Alone() with { Sides = [new KeeperOnHost(H1, null, null, StartFailure: "no kernel")] }, Verdict.Missing,
        "not protected: it does not start on h1: no kernel", "correct that; it is tried again by itself");

    [Fact]
    public void Qemu_ThatCannotCheckpoint_SaysWhy() => Expect(Alone() with { Unprotectable = new Obstacle("QEMU 7.2.22 cannot checkpoint this guest: ivshmem", "take it out") }, Verdict.Missing,
        "not protected: QEMU 7.2.22 cannot checkpoint this guest: ivshmem", "take it out");

    [Fact]
    public void SecondHost_ThatIsNotThere_IsAskedFor() => Expect(Alone() with { Alive = Alive(H1) }, Verdict.Missing,
        "not protected: no other host than h1 is alive", "switch a second host on, or start polluxd there; see 'pollux host list'");

    [Fact]
    public void SecondHost_WithoutMemory_IsNamed() => Expect(
        Alone() with { Readiness = new Dictionary<HostId, Obstacle?> { [H2] = new("redis needs 256 MiB of memory, and /dev/shm on h2 has 100 MiB left", "stop a VM") } }, Verdict.Missing,
        "not protected: h2 cannot stand by: redis needs 256 MiB of memory, and /dev/shm on h2 has 100 MiB left", "stop a VM");

    [Fact]
    public void SecondHost_WithAnotherQemu_IsNamed()
    {
        var alive = Alive(H1, H2).ToDictionary();
        alive[H2] = alive[H2] with { QemuVersion = "10.0.2" };
        Expect(Alone() with { Alive = alive }, Verdict.Missing,
            "not protected: h2 cannot stand by: it has QEMU 10.0.2, and the guest runs in 7.2.22", "install the same QEMU on h1 and h2; a VM changes to another at its next start");

        alive[H2] = alive[H2] with { QemuVersion = "7.2.22", Accelerator = "kvm" };
        Expect(Alone() with { Alive = alive }, Verdict.Missing,
            "not protected: h2 cannot stand by: guests run by kvm there, and this one by tcg", "install the same QEMU on h1 and h2; a VM changes to another at its next start");
    }

    [Fact]
    public void SecondHost_OneOfTwoUnfit_IsABlemishOnly()
    {
        var h3 = HostId.Create("h3");
        var facts = Alone() with
        {
            Alive = Alive(H1, H2, h3), Readiness = new Dictionary<HostId, Obstacle?> { [H2] = null, [h3] = new("no bridge br0", "make it") },
        };
        Expect(facts, Verdict.Warning, "not protected: h3 cannot stand by: no bridge br0", "make it");
    }

    [Fact]
    public void Standby_ThatFailed_SaysWhyAndWhereToLook() => Expect(
        Alone() with { Vm = View(StandbyState.Failed, "QEMU ended with status 1") }, Verdict.Missing,
        "not protected: h2 could not stand by: QEMU ended with status 1", "it is tried again by itself; see keeper.log of the VM on h2");

    [Fact]
    public void Link_ThatIsDown_IsLookedForInTheNetwork() => Expect(
        Alone() with { Vm = View(StandbyState.Ready), Sides = [Side(H1, "primary", "running") with { Note = "the link to the standby is down: h2 does not answer on 10.0.0.2:4000 within 5 s" }] },
        Verdict.Missing, "not protected: the link to the standby is down: h2 does not answer on 10.0.0.2:4000 within 5 s",
        "check the cluster's network between h1 and h2: cables, switch, firewall (a standby listens on a port of the kernel's choice)");

    [Fact]
    public void Standby_OnItsWay_IsWaitedFor()
    {
        Expect(Alone() with { Vm = View(StandbyState.Preparing) }, Verdict.Warning, "not protected: it is on its way: h2 prepares", "wait some seconds");
        Expect(Alone() with { Sides = [Side(H1, "primary", "syncing", note: "filling the standby on h2")] }, Verdict.Warning,
            "not protected: it is on its way: filling the standby on h2", "wait; a slow link takes as long as the guest's memory needs to cross it");
    }

    [Fact]
    public void Standby_ThatLagsOrHasNoArbiter_IsTold()
    {
        Expect(Pair() with { Sides = [Side(H1, "primary", "protected", lagMs: 4200), Side(H2, "standby", "standby-ready")] }, Verdict.Warning,
            "protected, but nothing was committed for 4.2 s: the link to h2, or h2 itself, is slow", "look at the network between h1 and h2, and at the load of h2");
        Expect(Pair() with { Sides = [Side(H1, "primary", "protected"), Side(H2, "standby", "standby-ready", hasArbiter: false)] }, Verdict.Missing,
            "protected, but no majority of etcd answers h2: it would not take over", "mend etcd, or its network to h2");
    }

    private static void Expect(ProtectionFacts facts, Verdict verdict, string sentence, string? nextStep)
    {
        var diagnosis = ProtectionDoctor.Examine(facts);
        Assert.Equal((verdict, sentence, nextStep), (diagnosis.Verdict, diagnosis.Sentence, diagnosis.NextStep));
        Assert.All(diagnosis.Findings, f => Assert.True(f.Verdict == Verdict.Ok || f.NextStep is not null || f.Sentence == "none is wanted", f.Sentence));
    }

    private static ProtectionFacts Pair() => new(
        View(role: Role(RoleState.Protected, "") with { Standby = new Member(H2, Incarnation.New()) }), new SpecFacts(true, true, null), H1, true, [Member("h1", "3.4")],
        Alive(H1, H2), [Side(H1, "primary", "protected"), Side(H2, "standby", "standby-ready")], null, new Dictionary<HostId, Obstacle?>());

    private static ProtectionFacts Alone() => Pair() with { Vm = View(), Sides = [Side(H1, "primary", "running")] };

    private static VmView View(StandbyState? standby = null, string? why = null, bool run = true, bool protect = true, Role? role = null) => VmView.Unknown(Redis) with
    {
        Record = new VmRecord(Redis, "", H1, run, protect, null),
        Role = role ?? Role(RoleState.Running, "started on h1"),
        Assignment = standby is null ? null : new StandbyAssignment(H2, 1),
        Endpoints = standby is { } state
            ? new Dictionary<HostId, StandbyEndpoint> { [H2] = new(H2, Incarnation.New(), 1, "10.0.0.2", 4000, state, why) }
            : new Dictionary<HostId, StandbyEndpoint>(),
    };

    private static Role Role(RoleState state, string reason) => new(3, state, new Member(H1, Incarnation.New()), null, "n", reason);

    private static Dictionary<HostId, HostRecord> Alive(params HostId[] hosts) =>
        hosts.ToDictionary(h => h, h => new HostRecord(h, "boot", "10.0.0.1", 7080, 1, 8L << 30, "7.2.22", "tcg"));

    private static EtcdMemberView Member(string name, string? version) => new($"https://{name}", 1, name, false, version is not null, version);

    private static KeeperOnHost Side(HostId host, string side, string phase, bool hasArbiter = true, double lagMs = 20, string note = "")
    {
        var none = new Percentiles(0, 0, 0);
        return new KeeperOnHost(host, new KeeperStatus(
            Redis, host, Incarnation.New(), 1, 2, side, phase, note, null, "7.2.22", "tcg", new CheckpointStatus(5, 5, 1, none, none, lagMs),
            new BufferStatus(0, 0, 0, 0), new NetworkStatus(0, 0, 0, 0, 0), null, new ProtectionSettings(), hasArbiter), null);
    }
}

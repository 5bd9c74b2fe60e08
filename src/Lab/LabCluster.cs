using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Security;
using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Lab.Health;
using Pollux.Lab.Hosts;
using Pollux.Lab.Layout;
using Pollux.Lab.Network;
using Pollux.Linux.Namespaces;

namespace Pollux.Lab;

/// <summary>
/// A cluster on one machine: hosts in namespaces on a switch of their own, with real etcd members and real agents.
/// Used alike by the command line, the tests and the demo. The lab outlives this object; <see cref="DownAsync"/> ends it, from any
/// process, whatever state it is in.
/// </summary>
public sealed class LabCluster
{
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(60);
    private readonly LabPlan _plan;
    private readonly LabOptions _options;

    private LabCluster(LabPlan plan, LabOptions options, LabPrograms programs)
    {
        (_plan, _options, Programs) = (plan, options, programs);
        Wires = new LabWires(plan);
        Members = [.. plan.Members.Select(m => new LabHost(plan.Lab, m))];
    }

    public LabName Name => _plan.Lab;

    public LabPrograms Programs { get; }

    /// <summary>The cluster's network and its faults.</summary>
    public LabWires Wires { get; }

    /// <summary>All machines, the witness included.</summary>
    public IReadOnlyList<LabHost> Members { get; }

    /// <summary>The data hosts h1…hN.</summary>
    public IEnumerable<LabHost> Hosts => Members.Where(m => !m.Member.IsWitness);

    /// <exception cref="PolluxException">No such machine.</exception>
    public LabHost this[string host] => Members.First(m => m.Member == _plan[host]);

    /// <summary>
    /// Builds the lab, or powers on what is off in one that exists, and returns when every etcd member and every agent answers.
    /// A failure takes down what this call built.
    /// </summary>
    /// <exception cref="PolluxException">Not root, a lab of that name with other hosts, or something does not come up.</exception>
    public static async Task<LabCluster> UpAsync(LabName name, LabOptions options, IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        RequireRoot();
        var programs = LabPrograms.Find();
        var lab = new LabCluster(LabPlan.Create(name, options.Hosts), options, programs);
        using var changing = await LabLock.TakeAsync(name, cancellation).ConfigureAwait(false);
        var existing = LabOptions.TryRead(name);
        if (existing is not null && existing != options)
        {
            throw new PolluxException($"lab '{name}' is up with {existing.Hosts} hosts{(existing.Hosts != options.Hosts ? $", not {options.Hosts}" : " and other programs or for another command")}", "pollux lab down, or choose another name with --name");
        }
        try
        {
            if (existing is null)
            {
                progress?.Report("building the switch");
                await lab.BuildAsync(cancellation).ConfigureAwait(false);
            }
            await lab.StartHostsAsync(progress, cancellation).ConfigureAwait(false);
            return lab;
        }
        catch when (existing is null)
        {
            await Leftovers.RemoveAsync(name, CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>A lab that is up.</summary>
    /// <exception cref="PolluxException">It is not.</exception>
    public static LabCluster Open(LabName name)
    {
        RequireRoot();
        var options = LabOptions.Read(name);
        return new LabCluster(LabPlan.Create(name, options.Hosts), options, LabPrograms.Find());
    }

    /// <summary>The machines of a lab that is up; none when it is not. Needs no root.</summary>
    public static IReadOnlyList<HostId> NamesIn(LabName name) =>
        LabOptions.TryRead(name) is { } options ? [.. LabPlan.Create(name, options.Hosts).Members.Select(m => m.Name)] : [];

    public static bool IsUp(LabName name) => LabOptions.TryRead(name) is not null;

    /// <summary>Removes what a command of that name left of its own lab when it was killed.</summary>
    /// <exception cref="PolluxException">The lab is up and is not its own.</exception>
    public static async Task DownOwnAsync(LabName name, string owner, CancellationToken cancellation = default)
    {
        if (LabOptions.TryRead(name) is { } existing && existing.Owner != owner)
        {
            throw new PolluxException($"lab '{name}' is up and is not this command's own", "choose another name with --name, or take it down: pollux lab down");
        }
        await DownAsync(name, cancellation).ConfigureAwait(false);
    }

    /// <summary>Kills and removes everything of a lab, also what a killed command left. No lab is no error.</summary>
    public static async Task DownAsync(LabName name, CancellationToken cancellation = default)
    {
        RequireRoot();
        using var changing = await LabLock.TakeAsync(name, cancellation).ConfigureAwait(false);
        await Leftovers.RemoveAsync(name, cancellation).ConfigureAwait(false);
    }

    public Task DownAsync() => DownAsync(Name);

    public async Task<IReadOnlyList<HostStatus>> StatusAsync(CancellationToken cancellation = default)
    {
        var wires = await Wires.ReadAsync(cancellation).ConfigureAwait(false);
        return await Task.WhenAll(Members.Select(m => HostStatus.AskAsync(
            Name, m, HasEtcd(m), HasAgent(m), [.. wires.Where(w => w.From == m.Name).SelectMany(w => w.Words())], cancellation))).ConfigureAwait(false);
    }

    /// <summary>
    /// Starts a host that was powered off, be it a moment ago: empty memory, the same disk. Returns when its services answer.
    /// </summary>
    /// <param name="untilAlive">Also wait until its lease is alive; not where etcd has no majority.</param>
    public async Task PowerOnAsync(string host, CancellationToken cancellation = default, bool untilAlive = false)
    {
        var machine = this[host];
        using var changing = await LabLock.TakeAsync(Name, cancellation).ConfigureAwait(false);
        await machine.DeadAsync(cancellation).ConfigureAwait(false);
        await StartAsync(machine, cancellation).ConfigureAwait(false);
        await ReadyAsync([machine], cancellation).ConfigureAwait(false);
        if (untilAlive && HasAgent(machine) && CanHaveQuorum(machine, await Wires.ReadAsync(cancellation).ConfigureAwait(false)))
        {
            await Polling.UntilAsync(c => AgentProbe.IsAliveAsync(machine, c), ReadyDeadline,
                () => $"{machine.Name} does not count as alive; its log is {machine.LogDirectory}/polluxd.log", cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Copies the logs of all hosts and keepers into a directory, which the lab's end leaves alone.</summary>
    public void SaveLogs(string directory) => LabLogs.Save(Members, directory);

    /// <summary>Makes a fault ready, so that striking takes microseconds.</summary>
    public PreparedFault Prepare(LabFault fault) => PreparedFault.Create(this, fault);

    /// <summary>Arms a moment of the protocol in the keeper that a host has, or will have, of a VM.</summary>
    public ArmedFaultPoint Arm(string host, VmName vm, string point, FaultPointAction action = FaultPointAction.Hold) =>
        ArmedFaultPoint.Arm(this[host], vm, point, action);

    /// <summary>Runs a command inside a host to its end.</summary>
    public async Task<ToolResult> ExecAsync(string host, IEnumerable<string> command, CancellationToken cancellation = default)
    {
        var start = EnterCommand(host, command);
        return await Tool.RunAsync(start, null, cancellation).ConfigureAwait(false);
    }

    /// <summary>How to run a command inside a host, or in the network of <c>client</c> or <c>switch</c>.</summary>
    public ProcessStartInfo EnterCommand(string where, IEnumerable<string> command) => where switch
    {
        "client" => new ProcessStartInfo("ip", ["netns", "exec", Name.ClientNamespace, .. command]),
        "switch" => new ProcessStartInfo("ip", ["netns", "exec", Name.SwitchNamespace, .. command]),
        _ => this[where].Enter(command, Programs),
    };

    /// <summary>A TCP socket of the client's network, with the kernel's default settings.</summary>
    public Socket OpenClientSocket() =>
        NetworkNamespace.OpenSocket(Name.ClientNamespace, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    /// <summary>As <see cref="OpenClientSocket"/>, of the server's address family.</summary>
    public Socket OpenClientSocketTo(IPEndPoint server) =>
        NetworkNamespace.OpenSocket(Name.ClientNamespace, server.AddressFamily, SocketType.Stream, ProtocolType.Tcp);

    /// <summary>Begins to record what passes the switch. See <see cref="Capture"/>.</summary>
    public Task<Capture> StartCaptureAsync(string network, string file, CancellationToken cancellation = default) =>
        Capture.StartAsync(Name, network, file, cancellation);

    private async Task BuildAsync(CancellationToken cancellation)
    {
        // Whatever a killed command left under this name goes first.
        await Leftovers.RemoveAsync(Name, cancellation).ConfigureAwait(false);
        Directory.CreateDirectory(Name.StateDirectory);
        (await Tool.RunAsync("mount", ["-t", "tmpfs", "-o", "mode=755", Name.NamespacePrefix + "state", Name.StateDirectory], cancellation: cancellation)
            .ConfigureAwait(false)).Checked($"mounting a tmpfs on {Name.StateDirectory}");
        Name.Cgroup.Create();
        Name.ToolsCgroup.Create();
        using var authority = ClusterAuthority.CreateOrOpen(Name.AuthorityDirectory);
        var files = new HostFiles(_plan, Programs, _options);
        foreach (var member in _plan.Members)
        {
            files.Write(member, authority);
        }
        await LabNetwork.BuildSwitchAsync(Name, cancellation).ConfigureAwait(false);
        _options.Write(Name);
    }

    private async Task StartHostsAsync(IProgress<string>? progress, CancellationToken cancellation)
    {
        await Task.WhenAll(Members.Where(h => h.Power == HostPower.Off).Select(host =>
        {
            progress?.Report($"starting {host.Name}");
            return StartAsync(host, cancellation);
        })).ConfigureAwait(false);
        progress?.Report(_options.WithAgents ? "waiting for etcd and the agents" : "waiting for etcd");
        await ReadyAsync(Members.Where(h => h.Power == HostPower.On), cancellation).ConfigureAwait(false);
    }

    private async Task StartAsync(LabHost host, CancellationToken cancellation)
    {
        if (host.Power != HostPower.Off)
        {
            return;
        }
        await host.StartAsync(_plan, cancellation).ConfigureAwait(false);
    }

    private async Task ReadyAsync(IEnumerable<LabHost> hosts, CancellationToken cancellation)
    {
        var wires = await Wires.ReadAsync(cancellation).ConfigureAwait(false);
        await Task.WhenAll(hosts.Select(h => ReadyAsync(h, wires, cancellation))).ConfigureAwait(false);
    }

    private async Task ReadyAsync(LabHost host, IReadOnlyList<WireFault> wires, CancellationToken cancellation)
    {
        if (CanHaveQuorum(host, wires))
        {
            await Polling.UntilAsync(c => EtcdProbe.IsHealthyAsync(Name, host.Member, c), ReadyDeadline,
                () => $"etcd on {host.Name} does not answer; its log is {host.LogDirectory}/etcd.log", cancellation).ConfigureAwait(false);
        }
        if (HasAgent(host))
        {
            await Polling.UntilAsync(c => AgentProbe.AnswersAsync(host, c), ReadyDeadline,
                () => $"the agent on {host.Name} does not answer; its log is {host.LogDirectory}/polluxd.log", cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Whether a host's etcd can reach a majority: not with members or wires that a fault holds.</summary>
    private bool CanHaveQuorum(LabHost host, IReadOnlyList<WireFault> wires)
    {
        var voters = Members.Where(HasEtcd).ToList();
        return voters.Contains(host) && !host.IsEtcdHeld && !wires.Any(w => w.IsCut && (w.From == host.Name || w.To == host.Name))
            && 2 * voters.Count(v => v.Power == HostPower.On && !v.IsEtcdHeld) > voters.Count;
    }

    internal bool HasEtcd(LabHost host) => _plan.Voters.Contains(host.Member);

    private bool HasAgent(LabHost host) => _options.WithAgents && !host.Member.IsWitness;

    private static void RequireRoot()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            throw new PolluxException("the lab needs root: it makes namespaces, cgroups and network devices", "run it with sudo");
        }
    }
}

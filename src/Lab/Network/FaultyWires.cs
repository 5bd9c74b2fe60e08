using System.Globalization;
using System.Text;
using Pollux.Core;
using Pollux.Lab.Hosts;
using Pollux.Lab.Layout;

namespace Pollux.Lab.Network;

/// <summary>
/// The faults of the cluster's wires, where frames pass: in the switch, between the ports on <c>mgmt</c>. A drop is silent, no ICMP and
/// no RST tells of it. The rules are the kernel's and each carries in its comment what it is for, so that this table is all the memory there is;
/// it names ports, and so outlives a host's power-off and goes with the switch. Ports of <c>lan</c> are never touched.
/// </summary>
/// <remarks>
/// Cut and loss are rules of nftables, for this must work where the kernel has no netem; slowness is a class of an HTB queue at the port
/// that the frames leave by, chosen by the priority that a rule gives them.
/// </remarks>
internal static class FaultyWires
{
    private const string Table = "bridge faults";
    private const string Cut = "cut";
    private const string Slow = "slow";
    private const string SlowFifo = "slow-fifo";
    private const string Loss = "loss";

    /// <summary>The mark for network control: class selector 6.</summary>
    private const string Urgent = "cs6";

    /// <summary>What a slow port holds before it drops; a switch has about as much for each of its ports.</summary>
    private const int QueueBytes = 256 << 10;

    private const int UrgentBase = 0x1000;
    private const int WireBase = 0x2000;

    /// <summary>The chance is counted in hundredths of a percent.</summary>
    private const int LossParts = 100;

    internal static async Task<IReadOnlyList<WireFault>> ReadAsync(LabName lab, CancellationToken cancellation)
    {
        // Without a fault there is no table, which nft calls an error.
        var listed = await RunAsync(lab, ["nft", "list", "table", .. Table.Split(' ')], null, cancellation).ConfigureAwait(false);
        return listed.ExitCode == 0 ? Parse(listed.Output) : [];
    }

    /// <summary>Makes the wires as described, all at once. What is not mentioned is in order.</summary>
    internal static async Task WriteAsync(LabName lab, IEnumerable<LabMember> members, IReadOnlyList<WireFault> before, IReadOnlyList<WireFault> faults, CancellationToken cancellation)
    {
        (await RunAsync(lab, ["nft", "-f", "-"], Rules(members, faults), cancellation).ConfigureAwait(false)).Checked("nft in the lab's switch");
        foreach (var member in members.Where(m => !SlowTo(before, m).SequenceEqual(SlowTo(faults, m))))
        {
            await QueueAsync(lab, members, member, faults, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Gives the new ports of a member that was powered on the queues of the old ones.</summary>
    internal static async Task RestoreAsync(LabPlan plan, LabMember member, CancellationToken cancellation)
    {
        var faults = await ReadAsync(plan.Lab, cancellation).ConfigureAwait(false);
        if (SlowTo(faults, member).Any())
        {
            await QueueAsync(plan.Lab, plan.Members, member, faults, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>The rules of nftables for some faults; replaces all that were there.</summary>
    internal static string Rules(IEnumerable<LabMember> members, IReadOnlyList<WireFault> faults)
    {
        // Added first, since to delete what is not there fails.
        var text = new StringBuilder($"add table {Table}\ndelete table {Table}\n");
        if (faults.Count == 0)
        {
            return text.ToString();
        }
        text.Append(CultureInfo.InvariantCulture, $"table {Table} {{\n chain forward {{\n  type filter hook forward priority 0; policy accept;\n");
        foreach (var fault in faults)
        {
            var (from, to) = (Member(members, fault.From), Member(members, fault.To));
            void Rule(string what, string kind, object? value) => text.Append(CultureInfo.InvariantCulture,
                $"  iifname \"{LabNetwork.MgmtPort(from)}\" oifname \"{LabNetwork.MgmtPort(to)}\" {what} comment \"{fault.From} {fault.To} {kind} {value}\"\n");
            if (fault.IsCut)
            {
                Rule("counter drop", Cut, 1);
            }
            if (fault.LossPercent is { } loss)
            {
                Rule($"numgen random mod {100 * LossParts} < {Math.Round(loss * LossParts)} counter drop", Loss, loss);
            }
            if (fault.Mbit is { } mbit)
            {
                Rule($"meta priority set {ClassOf(from)} counter", fault.IsFifo ? SlowFifo : Slow, mbit);
                if (!fault.IsFifo)
                {
                    Rule($"ip dscp {Urgent} meta priority set {UrgentClassOf(from)} counter", Slow, mbit);
                }
            }
        }
        return text.Append(" }\n}\n").ToString();
    }

    /// <summary>Reads what <see cref="Rules"/> wrote from nft's listing.</summary>
    internal static IReadOnlyList<WireFault> Parse(string listing)
    {
        const string mark = "comment \"";
        var faults = new List<WireFault>();
        foreach (var line in listing.Split('\n').Where(l => l.Contains(mark, StringComparison.Ordinal)))
        {
            var words = line[(line.IndexOf(mark, StringComparison.Ordinal) + mark.Length)..].TrimEnd().TrimEnd('"').Split(' ');
            var (from, to) = (HostId.Create(words[0]), HostId.Create(words[1]));
            var at = faults.FindIndex(f => f.From == from && f.To == to);
            var fault = at < 0 ? new WireFault(from, to) : faults[at];
            fault = words[2] switch
            {
                Cut => fault with { IsCut = true },
                Slow => fault with { Mbit = int.Parse(words[3], CultureInfo.InvariantCulture), IsFifo = false },
                SlowFifo => fault with { Mbit = int.Parse(words[3], CultureInfo.InvariantCulture), IsFifo = true },
                _ => fault with { LossPercent = double.Parse(words[3], CultureInfo.InvariantCulture) },
            };
            if (at < 0)
            {
                faults.Add(fault);
            }
            else
            {
                faults[at] = fault;
            }
        }
        return faults;
    }

    private static IEnumerable<(HostId From, int Mbit, bool IsFifo)> SlowTo(IEnumerable<WireFault> faults, LabMember to) =>
        faults.Where(f => f.To == to.Name && f.Mbit is not null).Select(f => (f.From, f.Mbit!.Value, f.IsFifo)).OrderBy(f => f.From.Value, StringComparer.Ordinal);

    /// <summary>Builds the queue of the port towards a member anew. A member that was never powered on has no port, and gets it with that.</summary>
    private static async Task QueueAsync(LabName lab, IEnumerable<LabMember> members, LabMember member, IReadOnlyList<WireFault> faults, CancellationToken cancellation)
    {
        var port = LabNetwork.MgmtPort(member);
        if ((await RunAsync(lab, ["ip", "link", "show", port], null, cancellation).ConfigureAwait(false)).ExitCode != 0)
        {
            return;
        }
        // There is none when nothing was slow.
        await RunAsync(lab, ["tc", "qdisc", "del", "dev", port, "root"], null, cancellation).ConfigureAwait(false);
        var slow = SlowTo(faults, member).ToList();
        if (slow.Count == 0)
        {
            return;
        }
        var text = new StringBuilder($"qdisc add dev {port} root handle 1: htb\n");
        foreach (var (from, mbit, isFifo) in slow)
        {
            var sender = Member(members, from);
            void Class(string parent, string name, int kbit, int priority) => text.Append(CultureInfo.InvariantCulture,
                $"class add dev {port} parent {parent} classid {name} htb rate {kbit}kbit ceil {mbit}mbit prio {priority} quantum 60000\n");
            void Queue(string name) => text.Append(CultureInfo.InvariantCulture, $"qdisc add dev {port} parent {name} bfifo limit {QueueBytes}\n");
            if (isFifo)
            {
                Class("1:", ClassOf(sender), mbit * 1000, 0);
                Queue(ClassOf(sender));
                continue;
            }
            Class("1:", WireClassOf(sender), mbit * 1000, 0);
            Class(WireClassOf(sender), ClassOf(sender), mbit * 900, 1);
            Class(WireClassOf(sender), UrgentClassOf(sender), mbit * 100, 0);
            Queue(ClassOf(sender));
            Queue(UrgentClassOf(sender));
        }
        (await RunAsync(lab, ["tc", "-batch", "-"], text.ToString(), cancellation).ConfigureAwait(false)).Checked($"tc on the switch's port {port}");
    }

    /// <summary>A class for each sender; tc and nft read its number as hexadecimal.</summary>
    private static string ClassOf(LabMember from) => $"1:{from.Index:x}";

    private static string UrgentClassOf(LabMember from) => $"1:{UrgentBase + from.Index:x}";

    /// <summary>What both of a sender's classes share.</summary>
    private static string WireClassOf(LabMember from) => $"1:{WireBase + from.Index:x}";

    private static LabMember Member(IEnumerable<LabMember> members, HostId name) => members.First(m => m.Name == name);

    private static Task<ToolResult> RunAsync(LabName lab, string[] command, string? input, CancellationToken cancellation) =>
        Tool.RunAsync("ip", ["netns", "exec", lab.SwitchNamespace, .. command], input, cancellation);
}

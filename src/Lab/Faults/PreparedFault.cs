using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Pollux.Core;
using Pollux.Lab.Hosts;
using Pollux.Lab.Layout;
using Pollux.Lab.Network;
using Pollux.Linux.Io;
using Pollux.Linux.Namespaces;
using Pollux.Linux.Processes;

namespace Pollux.Lab.Faults;

/// <summary>
/// A fault with everything opened and looked up, so that striking is a few system calls. The order matters for power-off: the
/// switch's ports go down first, since a killed process's kernel closes its connections and would say so.
/// </summary>
public sealed class PreparedFault : IDisposable
{
    /// <summary>A shell that has decided to start a program has become that program after this.</summary>
    private const int StartMs = 20;

    private readonly LabFault _fault;
    private readonly Action _strike;
    private readonly IDisposable[] _opened;

    private PreparedFault(LabFault fault, Action strike, params IDisposable[] opened) => (_fault, _strike, _opened) = (fault, strike, opened);

    /// <exception cref="PolluxException">The host is off, or has no such process.</exception>
    internal static PreparedFault Create(LabCluster lab, LabFault fault)
    {
        var host = lab[fault.Host];
        if (fault is not (LabFault.EtcdDown or LabFault.EtcdUp))
        {
            host.InitProcess();
        }
        var prepared = fault switch
        {
            LabFault.EtcdDown or LabFault.EtcdUp when !lab.HasEtcd(host) =>
                throw new PolluxException($"{host.Name} is no member of etcd", "see pollux lab status"),
            LabFault.EtcdDown => EtcdDown(host, fault),
            LabFault.EtcdUp => new PreparedFault(fault, host.ReleaseEtcd),
            LabFault.PowerOff => PowerOff(lab.Name, host, fault),
            LabFault.Freeze => WriteControl(host, fault, "cgroup.freeze", "1"u8.ToArray()),
            LabFault.Thaw => WriteControl(host, fault, "cgroup.freeze", "0"u8.ToArray()),
            LabFault.KillQemu f => Kill(fault, host.FindQemus(f.Vm), $"QEMU of VM '{f.Vm}'"),
            LabFault.BreakChannel f => BreakChannel(host, f),
            LabFault.KillKeeper f => Kill(fault, host.FindKeepers(f.Vm), $"keeper of VM '{f.Vm}'"),
            _ => Kill(fault, host.FindAgent() is { } agent ? [agent] : [], "agent"),
        };
        // The first use of the clock is compiled now and not between the clock's reading and the strike.
        Now();
        return prepared;
    }

    /// <summary>Does it, once.</summary>
    public StruckFault Strike()
    {
        var (unixMs, ticks) = Now();
        _strike();
        return new StruckFault(_fault.Name, _fault.Host, unixMs, ticks, Stopwatch.GetElapsedTime(ticks).TotalMilliseconds);
    }

    public void Dispose()
    {
        foreach (var opened in _opened)
        {
            opened.Dispose();
        }
    }

    private static PreparedFault PowerOff(LabName lab, LabHost host, LabFault fault)
    {
        var switchPower = InterfacePower.Of(lab.SwitchNamespace);
        var kill = host.Cgroup.OpenControl("cgroup.kill");
        string[] ports = [LabNetwork.LanPort(host.Member), LabNetwork.MgmtPort(host.Member)];
        return new PreparedFault(fault, () =>
        {
            foreach (var port in ports)
            {
                switchPower.Set(port, up: false);
            }
            RandomAccess.Write(kill, "1"u8, 0);
        }, switchPower, kill);
    }

    private static PreparedFault BreakChannel(LabHost host, LabFault.BreakChannel fault)
    {
        var keepers = host.FindKeepers(fault.Vm);
        if (keepers.Count == 0)
        {
            throw new PolluxException($"host {fault.Host} runs no keeper of VM '{fault.Vm}'", "see pollux lab status");
        }
        var socket = CheckpointSocket.Open(keepers[0], fault.Vm, fault.Host);
        return new PreparedFault(fault, () => Descriptor.ShutDown(socket), socket);
    }

    private static PreparedFault EtcdDown(LabHost host, LabFault fault) => new(fault, () =>
    {
        host.HoldEtcd();
        KillEtcd(host);
        // Again: it may have been about to start when it was held.
        Thread.Sleep(StartMs);
        KillEtcd(host);
    });

    private static void KillEtcd(LabHost host)
    {
        foreach (var process in host.FindEtcd())
        {
            ProcessTable.TrySignal(process, ProcessTable.Kill);
        }
    }

    private static PreparedFault WriteControl(LabHost host, LabFault fault, string control, byte[] value)
    {
        SafeFileHandle file = host.Cgroup.OpenControl(control);
        return new PreparedFault(fault, () => RandomAccess.Write(file, value, 0), file);
    }

    private static PreparedFault Kill(LabFault fault, IReadOnlyList<int> processes, string what)
    {
        if (processes.Count == 0)
        {
            throw new PolluxException($"host {fault.Host} runs no {what}", "see pollux lab status");
        }
        return new PreparedFault(fault, () =>
        {
            foreach (var process in processes)
            {
                ProcessTable.TrySignal(process, ProcessTable.Kill);
            }
        });
    }

    internal static (double UnixMs, long Ticks) Now() =>
        ((TimeProvider.System.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalMilliseconds, Stopwatch.GetTimestamp());
}

using System.Text.Json;
using Pollux.Cluster.Configuration;
using Pollux.Cluster.Events;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Qemu.Probing;

namespace Pollux.Agent;

/// <summary>
/// This host's key in the store, bound to a lease: present means alive (rule 6). Renewed three times within its life; granted anew when
/// it ran out.
/// </summary>
internal sealed class HostLease(AgentConfig config, EtcdStore store, string qemuVersion, Task<AcceleratorFinding> accelerator, EventJournal events, ILogger log)
{
    private long _lease;
    private volatile bool _alive;
    private bool _toldAccelerator;

    /// <summary>The lease as last known; 0 before the first.</summary>
    public long Id => Interlocked.Read(ref _lease);

    public bool IsAlive => _alive;

    public async Task RunAsync(CancellationToken cancellation)
    {
        var life = TimeSpan.FromSeconds(config.LeaseSeconds);
        while (true)
        {
            try
            {
                if (Id == 0 || !await store.KeepAliveAsync(Id, cancellation).ConfigureAwait(false))
                {
                    await BeginAsync(life, cancellation).ConfigureAwait(false);
                }
                else if (accelerator.IsCompleted && !_toldAccelerator)
                {
                    await TellAsync(Id, cancellation).ConfigureAwait(false);
                }
                _alive = true;
            }
            catch (PolluxException e) when (e is StoreUnavailableException or LeaseGoneException)
            {
                _alive = false;
                log.Say($"the host's lease: {e.Message}");
            }
            var pause = Task.Delay(life / 3, cancellation);
            await (_toldAccelerator ? pause : await Task.WhenAny(pause, accelerator).ConfigureAwait(false)).ConfigureAwait(false);
        }
    }

    private async Task BeginAsync(TimeSpan life, CancellationToken cancellation)
    {
        var lease = await store.GrantLeaseAsync(life, cancellation).ConfigureAwait(false);
        await TellAsync(lease, cancellation).ConfigureAwait(false);
        if (Interlocked.Exchange(ref _lease, lease) != 0)
        {
            events.Tell(null, EventKinds.LeaseLost, EventWeight.Alarm, $"the lease of {config.Host} had run out, so that the others counted it as dead; it has a new one");
        }
        log.Say($"{config.Host} is alive under lease {lease:x}");
    }

    private async Task TellAsync(long lease, CancellationToken cancellation)
    {
        var known = accelerator.IsCompletedSuccessfully;
        var name = known ? (await accelerator.ConfigureAwait(false)).Name : HostRecord.AcceleratorUnknown;
        var record = new HostRecord(config.Host, BootId(), config.Address, config.ApiPort, lease, MemoryBytes(), qemuVersion, name);
        await store.PutAsync(StoreKeys.Host(config.Host), JsonSerializer.Serialize(record, StoreJson.Default.HostRecord), lease, cancellation).ConfigureAwait(false);
        _toldAccelerator = known;
    }

    /// <summary>The kernel's, and when the first process began: in a namespace a host starts anew under a running kernel.</summary>
    private static string BootId()
    {
        const int startTimeField = 19; // of those after the command's name, proc(5)
        var stat = File.ReadAllText("/proc/1/stat");
        var start = stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[startTimeField];
        return $"{File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim()}-{start}";
    }

    private static long MemoryBytes()
    {
        var line = File.ReadLines("/proc/meminfo").First(l => l.StartsWith("MemTotal:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture) << 10;
    }
}

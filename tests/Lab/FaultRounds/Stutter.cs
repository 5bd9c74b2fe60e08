using Pollux.Lab.Faults;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>Stops a host and lets it run, again and again, until it is disposed of; then the host runs.</summary>
internal sealed class Stutter : IAsyncDisposable
{
    private readonly LabCluster _cluster;
    private readonly string _host;
    private readonly Thread _thread;
    private volatile bool _ended;

    private Stutter(LabCluster cluster, string host, int stoppedMs, int runningMs)
    {
        (_cluster, _host) = (cluster, host);
        _thread = new Thread(() =>
        {
            while (!_ended)
            {
                Strike(new LabFault.Freeze(_host));
                Thread.Sleep(stoppedMs);
                Strike(new LabFault.Thaw(_host));
                Thread.Sleep(runningMs);
            }
        });
        _thread.Start();
    }

    internal static Stutter Start(LabCluster cluster, string host, int stoppedMs, int runningMs) => new(cluster, host, stoppedMs, runningMs);

    public ValueTask DisposeAsync()
    {
        _ended = true;
        _thread.Join();
        return ValueTask.CompletedTask;
    }

    private void Strike(LabFault fault)
    {
        using var prepared = _cluster.Prepare(fault);
        prepared.Strike();
    }
}

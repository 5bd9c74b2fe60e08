using System.Diagnostics;
using Pollux.Lab.Faults;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>Stops a host and lets it run, again and again, until it is disposed of; then the host runs.</summary>
internal sealed class Stutter : IAsyncDisposable
{
    private readonly PreparedFault _freeze;
    private readonly PreparedFault _thaw;
    private readonly Task _thread;
    private volatile bool _ended;

    private Stutter(LabCluster cluster, string host, TimeSpan stopped, TimeSpan running)
    {
        (_freeze, _thaw) = (cluster.Prepare(new LabFault.Freeze(host)), cluster.Prepare(new LabFault.Thaw(host)));
        _thread = Task.Factory.StartNew(() => Run(stopped, running), TaskCreationOptions.LongRunning);
    }

    /// <summary>The longest time for which the host stood.</summary>
    internal TimeSpan Longest { get; private set; }

    internal static Stutter Start(LabCluster cluster, string host, TimeSpan stopped, TimeSpan running) => new(cluster, host, stopped, running);

    /// <summary>Fails with what went wrong meanwhile.</summary>
    public async ValueTask DisposeAsync()
    {
        _ended = true;
        await _thread;
        _freeze.Dispose();
        _thaw.Dispose();
    }

    private void Run(TimeSpan stopped, TimeSpan running)
    {
        while (!_ended)
        {
            var began = Stopwatch.GetTimestamp();
            try
            {
                _freeze.Strike();
                Thread.Sleep(stopped);
            }
            finally
            {
                _thaw.Strike();
            }
            var stood = Stopwatch.GetElapsedTime(began);
            Longest = stood > Longest ? stood : Longest;
            Thread.Sleep(running);
        }
    }
}

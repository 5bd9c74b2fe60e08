using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Hosts;

namespace Pollux.Lab.Faults;

/// <summary>
/// A moment of the protocol (<see cref="FaultPoints"/>) at which the keeper of a VM on a host shall be struck. Disposed, it lets go of
/// whoever waits there.
/// </summary>
public sealed class ArmedFaultPoint : IDisposable
{
    private readonly string _armed;
    private readonly string _reached;

    private ArmedFaultPoint(string point, string armed, string reached) => (Point, _armed, _reached) = (point, armed, reached);

    public string Point { get; }

    /// <summary>A keeper has been there since it was armed.</summary>
    public bool IsReached => File.Exists(_reached);

    /// <exception cref="PolluxException">The host is off.</exception>
    internal static ArmedFaultPoint Arm(LabHost host, VmName vm, string point, FaultPointAction action)
    {
        Directory.CreateDirectory(host.FaultPoints);
        var armed = new ArmedFaultPoint(point, FaultPoints.FileOf(host.FaultPoints, vm, point), FaultPoints.ReachedFileOf(host.FaultPoints, vm, point));
        File.Delete(armed._reached);
        File.WriteAllText(armed._armed + ".new", action.ToString());
        File.Move(armed._armed + ".new", armed._armed, overwrite: true);
        return armed;
    }

    /// <exception cref="PolluxException">Nobody came there in time.</exception>
    public Task ReachedAsync(TimeSpan within, CancellationToken cancellation = default) =>
        Polling.UntilAsync(() => IsReached, within, () => $"no keeper reached the fault point {Point}", cancellation);

    public void Dispose()
    {
        // A host that lost its power took both with it.
        Delete(_armed);
        Delete(_reached);
    }

    private static void Delete(string file)
    {
        try
        {
            File.Delete(file);
        }
        catch (IOException)
        {
        }
    }
}

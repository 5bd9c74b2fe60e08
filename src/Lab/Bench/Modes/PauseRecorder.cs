using Pollux.Lab.Load;
using Pollux.Qemu.Qmp;

namespace Pollux.Lab.Bench.Modes;

/// <summary>Pauses of a guest as its QEMU tells them: RESUME minus STOP.</summary>
internal sealed class PauseRecorder
{
    private readonly Lock _lock = new();
    private readonly List<double> _pauses = [];
    private long _stoppedAt;

    public PauseRecorder(QmpSession qmp) => qmp.EventReceived += Hear;

    /// <summary>What came since the last call.</summary>
    public IReadOnlyList<double> Take()
    {
        lock (_lock)
        {
            double[] taken = [.. _pauses];
            _pauses.Clear();
            return taken;
        }
    }

    private void Hear(QmpEvent e)
    {
        lock (_lock)
        {
            if (e.Name == "STOP")
            {
                _stoppedAt = e.TimestampMicros;
            }
            else if (e.Name == "RESUME" && _stoppedAt > 0)
            {
                _pauses.Add((e.TimestampMicros - _stoppedAt) / 1000.0);
                _stoppedAt = 0;
            }
        }
    }
}

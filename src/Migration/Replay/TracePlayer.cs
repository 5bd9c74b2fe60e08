namespace Pollux.Migration.Replay;

/// <summary>Plays a trace into page numbers. The same seed plays the same.</summary>
internal sealed class TracePlayer
{
    private readonly MemoryTrace _trace;
    private readonly Random _random;
    private int _step;
    private double _inStep;
    private int[] _starts = [];

    /// <param name="random">Of the run. Where it begins in the trace is the first that it decides.</param>
    public TracePlayer(MemoryTrace trace, Random random)
    {
        (_trace, _random) = (trace, random);
        _step = random.Next(trace.Steps.Count);
        Enter(_step);
    }

    /// <summary>Lets the guest run for a time and tells every page that it wrote, some more than once.</summary>
    public void Run(double ms, Action<int> written)
    {
        while (ms > 1e-9)
        {
            var part = Math.Min(ms, _trace.StepMs - _inStep);
            Write(_inStep / _trace.StepMs, (_inStep + part) / _trace.StepMs, written);
            _inStep += part;
            ms -= part;
            if (_trace.StepMs - _inStep < 1e-9)
            {
                _inStep = 0;
                Enter((_step + 1) % _trace.Steps.Count);
            }
        }
    }

    private void Enter(int step)
    {
        _step = step;
        var groups = _trace.Steps[step].Written;
        if (_starts.Length < groups.Count)
        {
            _starts = new int[groups.Count];
        }
        for (var i = 0; i < groups.Count; i++)
        {
            _starts[i] = groups[i].FirstPage ?? _random.Next(MemoryTrace.PagesPerGroup);
        }
    }

    /// <summary>A part of the step, from share to share: every group gets the same part of its pages.</summary>
    private void Write(double from, double to, Action<int> written)
    {
        var groups = _trace.Steps[_step].Written;
        for (var i = 0; i < groups.Count; i++)
        {
            var (first, end) = ((int)(groups[i].Pages * from), (int)(groups[i].Pages * to));
            for (var n = first; n < end; n++)
            {
                // An odd stride meets every page of a group once.
                var page = (_starts[i] + (groups[i].FirstPage is null ? n * 97 : n)) % MemoryTrace.PagesPerGroup;
                written((groups[i].Group * MemoryTrace.PagesPerGroup) + page);
            }
        }
    }
}

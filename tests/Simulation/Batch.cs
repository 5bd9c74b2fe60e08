using Pollux.Simulation.Judgement;

namespace Pollux.Simulation;

/// <summary>What many lives came to.</summary>
internal sealed class BatchResult
{
    public long Lives { get; private set; }
    public long Steps { get; private set; }
    public long FramesOutside { get; private set; }
    public double VirtualHours { get; private set; }
    public Coverage Coverage { get; } = new();
    public List<Outcome> Failures { get; } = [];

    public void Add(Outcome outcome)
    {
        Lives++;
        Steps += outcome.Steps;
        FramesOutside += outcome.FramesOutside;
        VirtualHours += outcome.VirtualMs / 3_600_000;
        Coverage.Add(outcome.Coverage);
        if (outcome.Broken is not null)
        {
            Failures.Add(outcome);
        }
    }
}

internal static class Batch
{
    /// <summary>Lives the seeds from <paramref name="from"/> to before <paramref name="to"/>; stops early after so many failures.</summary>
    public static BatchResult Run(int from, int to, int cores, int failuresMax)
    {
        var result = new BatchResult();
        Parallel.For(from, to, new ParallelOptions { MaxDegreeOfParallelism = cores }, (seed, loop) =>
        {
            var outcome = Life.Live(seed);
            lock (result)
            {
                result.Add(outcome);
                if (result.Failures.Count >= failuresMax)
                {
                    loop.Stop();
                }
            }
        });
        result.Failures.Sort((a, b) => a.Seed.CompareTo(b.Seed));
        return result;
    }
}

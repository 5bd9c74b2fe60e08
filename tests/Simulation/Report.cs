using System.Globalization;
using Pollux.Simulation.Faults;
using Pollux.Simulation.Judgement;
using Pollux.Simulation.Shipping;

namespace Pollux.Simulation;

/// <summary>Many lives over several cores, and what is said of them.</summary>
internal static class Report
{
    public static int One(int seed, IReadOnlySet<int> without, int lines, TextWriter to)
    {
        var plan = FaultPlan.From(seed).Without(without);
        var trace = new Trace(lines);
        var outcome = Life.Live(seed, plan, trace);
        to.WriteLine(trace);
        foreach (var fault in plan.Faults)
        {
            to.WriteLine(fault);
        }
        to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {seed}: {outcome.Steps} steps, {outcome.VirtualMs:F0} ms, {outcome.FramesOutside} frames left; {(outcome.Broken is null ? "every promise kept" : $"BROKEN {outcome.What}")}"));
        return outcome.Broken is null ? 0 : 1;
    }

    /// <param name="lines">0: only the first broken promise is named.</param>
    public static int Many(int from, int to, int cores, int lines, TextWriter output)
    {
        var began = System.Diagnostics.Stopwatch.GetTimestamp();
        var result = Batch.Run(from, to, cores, failuresMax: lines == 0 ? 1 : 5);
        var seconds = System.Diagnostics.Stopwatch.GetElapsedTime(began).TotalSeconds;
        foreach (var failure in result.Failures)
        {
            output.WriteLine(lines == 0 ? $"seed {failure.Seed} BROKEN {failure.What}" : Explain(failure.Seed, lines));
        }
        output.WriteLine(result.Coverage);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seeds {from}..{to}: {result.Lives:N0} lives, {result.FramesOutside:N0} frames left, {result.VirtualHours:F1} virtual hours, {result.Steps:N0} steps in {seconds:F1} s; {result.Failures.Count} failed"));
        return result.Failures.Count == 0 ? 0 : 1;
    }

    public static int Shipments(int from, int to, TextWriter output)
    {
        long epochs = 0;
        for (var seed = from; seed < to; seed++)
        {
            try
            {
                epochs += Shipment.Run(seed).Value + 1;
            }
            catch (BrokenPromiseException e)
            {
                output.WriteLine($"shipment {seed} BROKEN {e.Message}");
                return 1;
            }
        }
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"shipments {from}..{to}: {epochs:N0} epochs arrived, every promise kept"));
        return 0;
    }

    /// <summary>The failing life once more, with as few faults as still break the same promise.</summary>
    public static string Explain(int seed, int lines)
    {
        var whole = FaultPlan.From(seed);
        var broken = Life.Live(seed, whole).Broken;
        var without = new HashSet<int>();
        foreach (var fault in whole.Faults)
        {
            without.Add(fault.Number);
            if (Life.Live(seed, whole.Without(without)).Broken != broken)
            {
                without.Remove(fault.Number);
            }
        }
        var plan = whole.Without(without);
        var trace = new Trace(lines);
        var outcome = Life.Live(seed, plan, trace);
        var again = $"dotnet run --project tests/Simulation -- --seed {seed}{(without.Count == 0 ? "" : $" --without {string.Join(',', without.Order())}")}";
        return $"{trace}\n{string.Join('\n', plan.Faults)}\nseed {seed} BROKEN {outcome.What}\nagain: {again}\n";
    }
}

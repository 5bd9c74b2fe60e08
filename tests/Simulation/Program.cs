using System.Globalization;

namespace Pollux.Simulation;

/// <summary>The command line; ends with 1 when a promise was broken.</summary>
internal static class Program
{
    private const string Usage = """
        pollux-simulation [--seeds FROM..TO | --seed N] [--without N,N] [--lines N] [--cores N] [--json]
        """;

    public static int Main(string[] args)
    {
        var (from, to, cores, lines) = (0, 1_000, Environment.ProcessorCount, 60);
        HashSet<int> without = [];
        for (var i = 0; i < args.Length; i++)
        {
            switch (args[i])
            {
                case "--seeds" when i + 1 < args.Length:
                    var ends = args[++i].Split("..");
                    (from, to) = (Number(ends[0]), Number(ends[^1]));
                    break;
                case "--seed" when i + 1 < args.Length:
                    from = Number(args[++i]);
                    to = from + 1;
                    break;
                case "--without" when i + 1 < args.Length:
                    without = [.. args[++i].Split(',').Select(Number)];
                    break;
                case "--cores" when i + 1 < args.Length:
                    cores = Number(args[++i]);
                    break;
                case "--lines" when i + 1 < args.Length:
                    lines = Number(args[++i]);
                    break;
                default:
                    Console.Error.WriteLine(Usage);
                    return 2;
            }
        }
        return to == from + 1 ? Report.One(from, without, lines, Console.Out) : Report.Many(from, to, cores, lines, Console.Out);
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}

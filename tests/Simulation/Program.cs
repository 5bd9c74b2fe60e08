using System.Globalization;

namespace Pollux.Simulation;

/// <summary>The command line; ends with 1 when a promise was broken.</summary>
internal static class Program
{
    private const string Usage = """
        Lives of a pair in virtual time, each from a seed.
          pollux-simulation --seeds FROM..TO [--cores N] [--lines N] [--brief]
          pollux-simulation --seed N [--without FAULT,FAULT] [--lines N]
          pollux-simulation --shipments FROM..TO
        --lines     how many steps are shown of a life
        --without   faults to leave out, by number
        --brief     end at the first broken promise and only name it
        --shipments epochs over a link that breaks, through the real sender, receiver and image; these take real time
        """;

    public static int Main(string[] args)
    {
        try
        {
            return Run(args);
        }
        catch (Exception e) when (e is FormatException or IndexOutOfRangeException)
        {
            Console.Error.WriteLine(Usage);
            return 2;
        }
    }

    private static int Run(string[] args)
    {
        (int From, int To)? seeds = null, shipments = null;
        var (cores, lines, brief) = (Environment.ProcessorCount, 60, false);
        HashSet<int> without = [];
        for (var i = 0; i < args.Length; i++)
        {
            switch (args[i])
            {
                case "--seeds": seeds = Range(args[++i]); break;
                case "--seed": seeds = (Number(args[++i]), Number(args[i]) + 1); break;
                case "--shipments": shipments = Range(args[++i]); break;
                case "--without": without = [.. args[++i].Split(',').Select(Number)]; break;
                case "--cores": cores = Number(args[++i]); break;
                case "--lines": lines = Number(args[++i]); break;
                case "--brief": brief = true; break;
                default: throw new FormatException(args[i]);
            }
        }
        var result = shipments is var (first, last) ? Report.Shipments(first, last, Console.Out) : 0;
        return seeds switch
        {
            null => result,
            _ when result != 0 => result,
            var (from, to) when to == from + 1 => Report.One(from, without, lines, Console.Out),
            var (from, to) => Report.Many(from, to, cores, brief ? 0 : lines, Console.Out),
        };
    }

    private static (int From, int To) Range(string text)
    {
        var ends = text.Split("..");
        return (Number(ends[0]), Number(ends[1]));
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}

namespace Pollux.Unit.Tests.Wire;

/// <summary>Spoils good input: bits, bytes, pieces removed, doubled or cut off. The same seed gives the same mutants.</summary>
internal static class Mutation
{
    private static readonly byte[] Telling = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x20, 0x7e, 0x7f, 0x80, 0xff];

    public static byte[] Of(byte[] input, Random random)
    {
        List<byte> mutant = [.. input];
        for (var i = random.Next(1, 4); i > 0 && mutant.Count > 0; i--)
        {
            // Heads matter most, and pages would take nearly all hits.
            var at = random.Next(2) == 0 ? random.Next(mutant.Count) : random.Next(Math.Min(400, mutant.Count));
            var count = Math.Min(random.Next(1, 20), mutant.Count - at);
            switch (random.Next(6))
            {
                case 0:
                    mutant[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    mutant[at] = Telling[random.Next(Telling.Length)];
                    break;
                case 2:
                    mutant.RemoveRange(at, count);
                    break;
                case 3:
                    mutant.InsertRange(at, mutant.GetRange(at, count));
                    break;
                case 4:
                    mutant.RemoveRange(at, mutant.Count - at);
                    break;
                default:
                    for (var j = 0; j < Math.Min(count, 8); j++)
                    {
                        mutant[at + j] = 0xff;
                    }
                    break;
            }
        }
        return [.. mutant];
    }
}

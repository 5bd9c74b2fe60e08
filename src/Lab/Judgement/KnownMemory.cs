namespace Pollux.Lab.Judgement;

/// <summary>
/// The memory that the guest's checksum program keeps (guest/redis/checksum.c), reckoned by an outsider: what it must hold follows from the number
/// of its pages and of the writes so far. Says the same as the program: change both.
/// </summary>
public static class KnownMemory
{
    private const int WordsPerPage = 4096 / sizeof(ulong);

    /// <summary>The sum of all words, in their order, after so many writes.</summary>
    public static ulong Sum(ulong pages, ulong writes)
    {
        var generations = Generations(pages, writes);
        var sum = 0UL;
        Span<ulong> page = stackalloc ulong[WordsPerPage];
        for (var number = 0UL; number < pages; number++)
        {
            Fill(page, number, generations[number]);
            foreach (var word in page)
            {
                sum = (sum ^ word) * 0x100000001b3;
            }
        }
        return sum;
    }

    /// <summary>The number of each page's last write; 0: none.</summary>
    public static ulong[] Generations(ulong pages, ulong writes)
    {
        var generations = new ulong[pages];
        for (var write = 1UL; write <= writes; write++)
        {
            generations[Mixed(write) % pages] = write;
        }
        return generations;
    }

    /// <summary>What a page holds.</summary>
    /// <param name="page">Gets 512 words.</param>
    public static void Fill(Span<ulong> page, ulong number, ulong generation)
    {
        var seed = Mixed((number << 40) ^ generation);
        for (var i = 0; i < WordsPerPage; i++)
        {
            page[i] = Mixed(seed + (ulong)i);
        }
    }

    /// <summary>As SplitMix64 mixes.</summary>
    private static ulong Mixed(ulong n)
    {
        n *= 0x9e3779b97f4a7c15;
        n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9;
        n = (n ^ (n >> 27)) * 0x94d049bb133111eb;
        return n ^ (n >> 31);
    }
}

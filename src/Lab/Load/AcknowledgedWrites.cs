using System.Globalization;

namespace Pollux.Lab.Load;

/// <summary>
/// What a client may rely on: the writes that a server acknowledged to it, and those of which it never heard. Pure; the client alone
/// writes these keys, so every answer is known beforehand up to the requests whose outcome is unknown.
/// </summary>
/// <remarks>
/// Write n puts a value of its own, made of n and the seed, under key n modulo <see cref="Keys"/>. A value that was overwritten
/// cannot be asked for any more; with <see cref="Keys"/> above the number of writes none is.
/// </remarks>
public sealed class AcknowledgedWrites
{
    /// <summary>How many of these values a small guest holds in memory.</summary>
    public const int Keys = 100_000;

    public const string Counter = "pollux:count";
    private const int ValueDigits = 16;
    private const long Never = -1;
    private readonly ulong _seed;
    private readonly List<long> _acknowledged = [];
    private readonly Dictionary<int, List<long>> _unknown = [];
    private long _countLeast;
    private long _countUnknown;

    public AcknowledgedWrites(ulong seed) => _seed = seed;

    /// <summary>Acknowledged writes, increments included.</summary>
    public long Acknowledged { get; private set; }

    /// <summary>Keys that hold an acknowledged write.</summary>
    public IEnumerable<int> WrittenKeys => Enumerable.Range(0, _acknowledged.Count).Where(k => _acknowledged[k] != Never);

    /// <summary>The counter's value that was acknowledged last.</summary>
    public long CountAcknowledged => _countLeast;

    public static int KeyOf(long write) => (int)(write % Keys);

    public static string NameOf(int key) => string.Create(CultureInfo.InvariantCulture, $"pollux:{key}");

    /// <summary>The value of a write: its number, and digits that no other run's write of that number has.</summary>
    public string ValueOf(long write) => string.Create(CultureInfo.InvariantCulture, $"{write}:{Mixed(_seed + (ulong)write).ToString($"x{ValueDigits}", CultureInfo.InvariantCulture)}");

    /// <summary>The server said OK to a write.</summary>
    public void WriteAcknowledged(long write)
    {
        var key = KeyOf(write);
        while (_acknowledged.Count <= key)
        {
            _acknowledged.Add(Never);
        }
        _acknowledged[key] = write;
        // What was unknown before is overwritten: requests of one client, over one connection at a time, arrive in order
        // unless the old connection's last one is still on its way, which the reconnect leaves seconds behind.
        _unknown.Remove(key);
        Acknowledged++;
    }

    /// <summary>A write was sent and never answered: it may be there or not.</summary>
    public void WriteUnknown(long write)
    {
        var key = KeyOf(write);
        if (!_unknown.TryGetValue(key, out var writes))
        {
            _unknown[key] = writes = [];
        }
        writes.Add(write);
    }

    /// <summary>Whether a server that lost nothing can hold this under the key (null: nothing).</summary>
    public bool MayHold(int key, string? value)
    {
        var acknowledged = key < _acknowledged.Count ? _acknowledged[key] : Never;
        return value == (acknowledged == Never ? null : ValueOf(acknowledged))
            || (_unknown.TryGetValue(key, out var unknown) && unknown.Any(w => ValueOf(w) == value));
    }

    /// <summary>The server answered an increment. False: no server that lost nothing and made nothing up gives this number.</summary>
    public bool CountAcknowledgedAs(long value)
    {
        var fits = value > _countLeast && value <= _countLeast + _countUnknown + 1;
        (_countLeast, _countUnknown) = (value, 0);
        Acknowledged++;
        return fits;
    }

    /// <summary>An increment was sent and never answered.</summary>
    public void CountUnknown() => _countUnknown++;

    /// <summary>Acknowledged increments that a counter of this value lacks.</summary>
    public long CountLost(long value) => Math.Max(0, _countLeast - value);

    /// <summary>The finaliser of SplitMix64 (Steele, Lea, Flood 2014): distinct for distinct numbers.</summary>
    private static ulong Mixed(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        return x ^ (x >> 31);
    }
}

using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using Pollux.Lab.Vms;

namespace Pollux.Lab.Load;

/// <summary>What the guest's clock said, beside this machine's.</summary>
/// <param name="AtUnixMs">When, in Unix milliseconds of this machine.</param>
/// <param name="OffsetMs">The guest's clock is ahead by this; behind when negative. Wrong by half of <paramref name="RoundTripMs"/> at most.</param>
public sealed record ClockReading(double AtUnixMs, double OffsetMs, double RoundTripMs);

/// <summary>
/// Reads the clock of the Redis guest over one connection (Redis' TIME is the guest's gettimeofday). It also watches that the clock, as the world
/// sees it, never goes backwards, over checkpoints and takeovers.
/// </summary>
public sealed class GuestClock : IDisposable
{
    private const int TriesEach = 5;
    private static readonly byte[] Ask = Resp.Command("TIME");
    private readonly RedisConnection _connection;
    private double _lastMs;

    private GuestClock(RedisConnection connection) => _connection = connection;

    /// <summary>How often it said an earlier time than before.</summary>
    public int StepsBack { get; private set; }

    public int Readings { get; private set; }

    /// <exception cref="ConnectionLostException">Nobody answers.</exception>
    public static GuestClock Open(Func<Socket> socket) => new(RedisConnection.Open(socket(), RedisGuest.Server, () => false));

    /// <summary>The reading with the shortest round trip of a few.</summary>
    /// <exception cref="ConnectionLostException">The connection has ended.</exception>
    public ClockReading Read() => Enumerable.Range(0, TriesEach).Select(_ => ReadOnce()).MinBy(r => r.RoundTripMs)!;

    public void Dispose() => _connection.Dispose();

    private ClockReading ReadOnce()
    {
        var (asked, begin) = (DateTime.UtcNow, Stopwatch.GetTimestamp());
        _connection.Send(Ask);
        var reply = _connection.Receive(() => false, out _);
        var trip = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
        var guest = reply is RespReply.Many { Replies: [RespReply.Bulk { Text: { } seconds }, RespReply.Bulk { Text: { } micros }] }
            ? double.Parse(seconds, CultureInfo.InvariantCulture) * 1000 + double.Parse(micros, CultureInfo.InvariantCulture) / 1000
            : throw new ConnectionLostException($"the server answers TIME with {reply}");
        Readings++;
        if (guest < _lastMs)
        {
            StepsBack++;
        }
        _lastMs = guest;
        var at = (asked - DateTime.UnixEpoch).TotalMilliseconds + trip / 2;
        return new ClockReading(at, guest - at, trip);
    }
}

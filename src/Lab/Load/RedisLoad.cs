using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Pollux.Core;

namespace Pollux.Lab.Load;

/// <summary>
/// A client that writes, reads and counts in a closed loop over one connection, and checks every answer. Should the connection die
/// it opens another, so that what was lost can still be judged, and says so in its report.
/// </summary>
/// <remarks>It owns one thread, which ends with <see cref="FinishAsync"/> or <see cref="DisposeAsync"/>.</remarks>
public sealed class RedisLoad : IAsyncDisposable
{
    private const int KeysPerReadBack = 200;
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(10);
    private readonly Func<Socket> _openSocket;
    private readonly IPEndPoint _server;
    private readonly TimeSpan _pace;
    private readonly AcknowledgedWrites _writes;
    private readonly Random _choice;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private RedisConnection? _connection;
    private volatile bool _stopping;
    private long _giveUpTicks = long.MaxValue;
    private bool _pendingReply;
    private long _requests;
    private long _writesSent;
    private long _unanswered;
    private long _wrong;
    private int _reconnects;
    private string? _complaint;

    private RedisLoad(Func<Socket> openSocket, IPEndPoint server, ulong seed, TimeSpan pace)
    {
        (_openSocket, _server, _pace) = (openSocket, server, pace);
        _writes = new AcknowledgedWrites(seed);
        _choice = new Random((int)seed);
    }

    /// <summary>Every request with its times; grows while the load runs.</summary>
    public RequestLog Log { get; } = new();

    /// <summary>Connects, empties the server, and begins.</summary>
    /// <param name="openSocket">A TCP socket in the network from which the client speaks.</param>
    /// <param name="seed">Makes this run's values its own.</param>
    /// <param name="patience">How long the server may take to be reached.</param>
    /// <param name="pace">The client rests so long after each answer; zero: a closed loop.</param>
    /// <exception cref="PolluxException">The server cannot be reached.</exception>
    public static RedisLoad Start(Func<Socket> openSocket, IPEndPoint server, ulong seed, TimeSpan patience, TimeSpan pace = default)
    {
        var load = new RedisLoad(openSocket, server, seed, pace);
        try
        {
            load.Allow(patience);
            load._connection = RedisConnection.Open(openSocket(), server, load.HasGivenUp);
            if (load.Ask(Resp.Command("FLUSHALL")) is not RespReply.Status)
            {
                throw new PolluxException($"the server at {server} cannot be emptied");
            }
        }
        catch (Exception e) when (e is ConnectionLostException or PolluxException)
        {
            // Or a FLUSHALL that is on its way yet would empty the server under the next load.
            load._connection?.Abort();
            throw e as PolluxException ?? new PolluxException($"the Redis server at {server} does not serve: {e.Message}", "see the guest's console", e);
        }
        load.Allow(Timeout.InfiniteTimeSpan);
        new Thread(load.Run) { IsBackground = true, Name = "redis load" }.Start();
        return load;
    }

    /// <summary>Begins as soon as the server serves, which a guest that boots does not at once.</summary>
    /// <exception cref="PolluxException">It did not within the deadline.</exception>
    public static async Task<RedisLoad> StartWhenServingAsync(
        Func<Socket> openSocket, IPEndPoint server, ulong seed, TimeSpan deadline, CancellationToken cancellation = default, TimeSpan pace = default)
    {
        var begin = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return await Task.Factory.StartNew(() => Start(openSocket, server, seed, TimeSpan.FromSeconds(1), pace),
                    cancellation, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
            }
            catch (PolluxException) when (Stopwatch.GetElapsedTime(begin) < deadline)
            {
                await Task.Delay(Pace, cancellation).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Waits for a reply that came after a moment on the clock of <see cref="Stopwatch"/>; false: none within the patience.</summary>
    public async Task<bool> IsAnsweredAfterAsync(long ticks, TimeSpan patience, CancellationToken cancellation = default)
    {
        var begin = Stopwatch.GetTimestamp();
        while (Log.FirstAnswerAfter(ticks) is null)
        {
            if (Stopwatch.GetElapsedTime(begin) > patience || _ended.Task.IsCompleted)
            {
                return false;
            }
            await Task.Delay(Pace, cancellation).ConfigureAwait(false);
        }
        return true;
    }

    /// <summary>Lets the last request be answered, reads every acknowledged write back, and ends.</summary>
    /// <param name="patience">How long the last answer, and then the reading back, may take.</param>
    public async Task<LoadReport> FinishAsync(TimeSpan patience)
    {
        Stop(patience);
        await _ended.Task.ConfigureAwait(false);
        return await Task.Factory.StartNew(() => ReadBack(patience), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        Stop(TimeSpan.Zero);
        await _ended.Task.ConfigureAwait(false);
        _connection?.Dispose();
    }

    private bool HasGivenUp() => Stopwatch.GetTimestamp() > Interlocked.Read(ref _giveUpTicks);

    private void Allow(TimeSpan patience) => Interlocked.Exchange(ref _giveUpTicks, patience == Timeout.InfiniteTimeSpan
        ? long.MaxValue
        : Stopwatch.GetTimestamp() + (long)(patience.TotalSeconds * Stopwatch.Frequency));

    private void Stop(TimeSpan patience)
    {
        Allow(patience);
        _stopping = true;
    }

    private void Run()
    {
        try
        {
            while (!_stopping)
            {
                try
                {
                    _connection ??= Reconnect();
                    One();
                    Rest();
                }
                catch (ConnectionLostException e)
                {
                    Lose(e.Message);
                }
            }
            _ended.TrySetResult();
        }
        catch (Exception e)
        {
            _ended.TrySetException(e);
        }
    }

    private void Rest()
    {
        if (_pace > TimeSpan.Zero)
        {
            Thread.Sleep(_pace);
        }
    }

    /// <summary>One request, chosen by its number: two of four write, one reads, one counts.</summary>
    private void One()
    {
        switch (_requests++ % 4)
        {
            case 0 or 2:
                Write(_writesSent++);
                break;
            case 1:
                Read(AcknowledgedWrites.KeyOf(_choice.NextInt64(_writesSent)));
                break;
            default:
                Count();
                break;
        }
    }

    private void Write(long write)
    {
        var command = Resp.Command("SET", AcknowledgedWrites.NameOf(AcknowledgedWrites.KeyOf(write)), _writes.ValueOf(write));
        var reply = Exchanged(RequestKind.Write, command, () => _writes.WriteUnknown(write));
        if (reply is RespReply.Status { Text: "OK" })
        {
            _writes.WriteAcknowledged(write);
        }
        else if (reply is not null)
        {
            _writes.WriteUnknown(write);
            Complain($"SET number {write} was answered with {reply}");
        }
    }

    private void Read(int key)
    {
        var reply = Exchanged(RequestKind.Read, Resp.Command("GET", AcknowledgedWrites.NameOf(key)), () => { });
        if (reply is not null && !(reply is RespReply.Bulk bulk && _writes.MayHold(key, bulk.Text)))
        {
            Complain($"GET of key {key} was answered with {reply}");
        }
    }

    private void Count()
    {
        var reply = Exchanged(RequestKind.Count, Resp.Command("INCR", AcknowledgedWrites.Counter), _writes.CountUnknown);
        var before = _writes.CountAcknowledged;
        if (reply is not null && !(reply is RespReply.Integer number && _writes.CountAcknowledgedAs(number.Value)))
        {
            Complain($"INCR after {before} was answered with {reply}");
        }
    }

    /// <summary>Null: not answered before the load gave up; <paramref name="unknown"/> was told so.</summary>
    private RespReply? Exchanged(RequestKind kind, byte[] command, Action unknown)
    {
        var sent = Stopwatch.GetTimestamp();
        try
        {
            _connection!.Send(command);
            var reply = _connection.Receive(HasGivenUp, out var replied);
            if (!Log.TryAdd(new Exchange(kind, sent, reply is null ? 0 : replied)))
            {
                _stopping = true;
            }
            if (reply is null)
            {
                _pendingReply = true;
                _unanswered++;
                unknown();
            }
            return reply;
        }
        catch (ConnectionLostException)
        {
            Log.TryAdd(new Exchange(kind, sent, 0));
            _unanswered++;
            unknown();
            throw;
        }
    }

    private RedisConnection Reconnect()
    {
        Thread.Sleep(Pace);
        var connection = RedisConnection.Open(_openSocket(), _server, HasGivenUp);
        _reconnects++;
        return connection;
    }

    private void Lose(string why)
    {
        _complaint ??= why;
        _connection?.Dispose();
        _connection = null;
    }

    private void Complain(string what)
    {
        _wrong++;
        _complaint ??= what;
    }

    private LoadReport ReadBack(TimeSpan patience)
    {
        if (_pendingReply)
        {
            // The reply may still come and would be taken for another's.
            Lose("the last request was not answered");
        }
        Allow(patience);
        while (true)
        {
            try
            {
                _connection ??= Reconnect();
                var lost = CountLost();
                return new LoadReport(_requests, _writes.Acknowledged, lost, _unanswered, _wrong, _reconnects == 0, _reconnects, _complaint);
            }
            catch (ConnectionLostException e) when (!HasGivenUp())
            {
                Lose(e.Message);
            }
            catch (ConnectionLostException e)
            {
                Lose(e.Message);
                // Nothing answers: all of it is lost to this client.
                return new LoadReport(_requests, _writes.Acknowledged, _writes.Acknowledged, _unanswered, _wrong, false, _reconnects, _complaint);
            }
        }
    }

    /// <summary>Reads every key back. Its replies are no part of the log.</summary>
    private long CountLost()
    {
        long lost = 0;
        foreach (var keys in _writes.WrittenKeys.Chunk(KeysPerReadBack))
        {
            if (Ask(Resp.Command(["MGET", .. keys.Select(AcknowledgedWrites.NameOf)])) is not RespReply.Many many || many.Replies.Count != keys.Length)
            {
                throw new ConnectionLostException("MGET was not answered with as many values as were asked for");
            }
            foreach (var (key, value) in keys.Zip(many.Replies, (k, r) => (k, (r as RespReply.Bulk)?.Text)).Where(p => !_writes.MayHold(p.k, p.Text)))
            {
                lost++;
                _complaint ??= $"key {key} holds '{value}' after the load";
            }
        }
        if (_writes.CountAcknowledged > 0)
        {
            var text = (Ask(Resp.Command("GET", AcknowledgedWrites.Counter)) as RespReply.Bulk)?.Text;
            var count = long.TryParse(text, out var value) ? value : 0;
            lost += _writes.CountLost(count);
            _complaint ??= lost > 0 ? $"the counter is {count}, {_writes.CountAcknowledged} was acknowledged" : null;
        }
        return lost;
    }

    private RespReply Ask(byte[] command)
    {
        _connection!.Send(command);
        return _connection.Receive(HasGivenUp, out _) ?? throw new ConnectionLostException("no reply");
    }
}

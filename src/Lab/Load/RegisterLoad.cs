using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Pollux.Core;
using Pollux.Lab.Judgement;

namespace Pollux.Lab.Load;

/// <summary>What the clients of a few registers saw.</summary>
/// <param name="Operations">How many were answered.</param>
/// <param name="Torn">Registers whose history no order of the operations explains.</param>
/// <param name="Complaint">A connection that died or an answer that is none, in words.</param>
public sealed record RegisterReport(long Operations, IReadOnlyList<string> Torn, string? Complaint)
{
    public bool IsClean => Torn.Count == 0 && Complaint is null;
}

/// <summary>
/// Several clients at once, each with its own connection, that write, read and exchange the same few Redis keys, so that the order in
/// which the server did it shows in the answers. <see cref="RegisterHistory"/> judges it.
/// </summary>
public sealed class RegisterLoad : IAsyncDisposable
{
    private const int Clients = 3;
    private const int Registers = 8;
    private const int OperationsMost = 200_000;

    /// <summary>Between two requests of a client: the load shall be there, not fill the guest.</summary>
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(4);
    private static readonly (string Verb, bool Writes, bool Tells)[] Verbs = [("GET", false, true), ("SET", true, false), ("GETSET", true, true)];
    private readonly IPEndPoint _server;
    private readonly Func<Socket> _openSocket;
    private readonly string _prefix;
    private readonly Lock _lock = new();
    private readonly List<RegisterOperation>[] _histories = [.. Enumerable.Range(0, Registers).Select(_ => new List<RegisterOperation>())];
    private readonly List<Task> _clients = [];
    private readonly List<RedisConnection> _connections = [];
    private long _lastValue;
    private int _noted;
    private long _giveUpTicks = long.MaxValue;
    private volatile bool _stopping;
    private string? _complaint;

    private RegisterLoad(Func<Socket> openSocket, IPEndPoint server, ulong seed) =>
        (_openSocket, _server, _prefix) = (openSocket, server, string.Create(CultureInfo.InvariantCulture, $"register:{seed:x}:"));

    /// <summary>How many operations have come to an end so far.</summary>
    public int Done => Volatile.Read(ref _noted);

    /// <summary>Begins; the server must serve. Its keys must not be emptied meanwhile.</summary>
    /// <param name="seed">Makes the choice of operations, and the keys, this run's own.</param>
    public static RegisterLoad Start(Func<Socket> openSocket, IPEndPoint server, ulong seed)
    {
        var load = new RegisterLoad(openSocket, server, seed);
        for (var client = 0; client < Clients; client++)
        {
            var random = new Random(unchecked((int)seed * Clients + client));
            load._clients.Add(Task.Factory.StartNew(() => load.Work(random), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default));
        }
        return load;
    }

    /// <summary>Lets the last requests be answered and judges all of them. The connections stay open: who ends them must be the server, or nobody.</summary>
    public async Task<RegisterReport> FinishAsync(TimeSpan patience)
    {
        Interlocked.Exchange(ref _giveUpTicks, Stopwatch.GetTimestamp() + (long)(patience.TotalSeconds * Stopwatch.Frequency));
        _stopping = true;
        await Task.WhenAll(_clients).ConfigureAwait(false);
        var torn = await Task.Run(() => Enumerable.Range(0, Registers).Where(r => !RegisterHistory.IsLinearizable(_histories[r])).Select(NameOf).ToList()).ConfigureAwait(false);
        return new RegisterReport(_histories.Sum(h => h.Count(o => o.IsAnswered)), torn, _complaint);
    }

    public async ValueTask DisposeAsync()
    {
        Interlocked.Exchange(ref _giveUpTicks, 0);
        _stopping = true;
        await Task.WhenAll(_clients).ConfigureAwait(false);
        _connections.ForEach(c => c.Dispose());
    }

    private string NameOf(int register) => string.Create(CultureInfo.InvariantCulture, $"{_prefix}{register}");

    private bool HasGivenUp() => Stopwatch.GetTimestamp() > Interlocked.Read(ref _giveUpTicks);

    private void Work(Random random)
    {
        try
        {
            var connection = RedisConnection.Open(_openSocket(), _server, HasGivenUp);
            lock (_lock)
            {
                _connections.Add(connection);
            }
            while (!_stopping && Volatile.Read(ref _noted) < OperationsMost && One(connection, random))
            {
                Thread.Sleep(Pace);
            }
        }
        catch (ConnectionLostException e) when (_stopping && HasGivenUp())
        {
            _ = e; // Nobody waits for it any more.
        }
        catch (ConnectionLostException e)
        {
            _complaint ??= e.Message;
        }
    }

    /// <summary>One operation; false: its answer did not come before the load gave up.</summary>
    private bool One(RedisConnection connection, Random random)
    {
        var register = random.Next(Registers);
        var (verb, writes, tells) = Verbs[random.Next(Verbs.Length)];
        var written = writes ? Interlocked.Increment(ref _lastValue) : (long?)null;
        var command = written is { } value
            ? Resp.Command(verb, NameOf(register), value.ToString(CultureInfo.InvariantCulture))
            : Resp.Command(verb, NameOf(register));
        var called = Stopwatch.GetTimestamp();
        RespReply? reply = null;
        try
        {
            connection.Send(command);
            reply = connection.Receive(HasGivenUp, out _);
        }
        finally
        {
            Note(register, new RegisterOperation(called, reply is null ? long.MaxValue : Stopwatch.GetTimestamp(), written, tells ? Told(reply) : null));
        }
        return reply is not null;
    }

    private long? Told(RespReply? reply)
    {
        switch (reply)
        {
            case null:
                return null;
            case RespReply.Bulk { Text: null }:
                return 0;
            case RespReply.Bulk bulk when long.TryParse(bulk.Text, CultureInfo.InvariantCulture, out var value):
                return value;
            default:
                _complaint ??= $"a register was answered with {reply}";
                return null;
        }
    }

    private void Note(int register, RegisterOperation operation)
    {
        lock (_lock)
        {
            _histories[register].Add(operation);
            _noted++;
        }
    }
}

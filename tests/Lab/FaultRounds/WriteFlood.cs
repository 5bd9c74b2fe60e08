using System.Globalization;
using Pollux.Lab.Load;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>
/// A second client beside the load that is judged: each of its requests makes the server write 10 MiB by itself, so that the guest dirties
/// far more memory than a slow link carries while next to nothing comes in from outside. It owns a thread, which ends with it.
/// </summary>
internal sealed class WriteFlood : IAsyncDisposable
{
    private const string Script = """
        local value = string.rep(redis.sha1hex(ARGV[1]), 6554)
        for i = 0, 39 do redis.call('SET', 'flood' .. ((ARGV[1] * 40 + i) % 160), value) end
        return redis.status_reply('OK')
        """;

    private readonly RedisConnection _connection;
    private readonly Task _thread;
    private volatile bool _ended;
    private int _rounds;

    private WriteFlood(RedisConnection connection)
    {
        _connection = connection;
        _thread = Task.Factory.StartNew(Run, TaskCreationOptions.LongRunning);
    }

    /// <summary>Requests that were answered.</summary>
    internal int Rounds => Volatile.Read(ref _rounds);

    internal static WriteFlood Start(ProtectedLab lab) =>
        new(RedisConnection.Open(lab.Cluster.OpenClientSocket(), ProtectedLab.Server, () => false));

    /// <summary>Writes no more; its connection stays until it is disposed of, so that no end of it is in a recording.</summary>
    internal Task StopAsync()
    {
        _ended = true;
        return _thread;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _connection.Dispose();
    }

    private void Run()
    {
        while (!_ended)
        {
            _connection.Send(Resp.Command("EVAL", Script, "0", _rounds.ToString(CultureInfo.InvariantCulture)));
            if (_connection.Receive(() => false, out _) is not { } reply)
            {
                return;
            }
            Assert.IsType<RespReply.Status>(reply);
            Interlocked.Increment(ref _rounds);
        }
    }
}

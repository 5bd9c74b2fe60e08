using Pollux.Cluster.Keepers;
using Pollux.Core;

namespace Pollux.Unit.Tests.Cluster.Keepers;

/// <summary>A keeper that ends answers who asked for that.</summary>
public sealed class KeeperServerTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly string _directory = Directory.CreateTempSubdirectory("pollux-keeper-").FullName;

    private string SocketPath => Path.Combine(_directory, "keeper.sock");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task Answered_WaitsForTheAnswerThatIsUnderWay()
    {
        var asked = new TaskCompletionSource();
        var done = new TaskCompletionSource();
        Task<KeeperResponse> stopping;
        await using (var server = KeeperServer.Listen(SocketPath, async (_, _) =>
        {
            asked.SetResult();
            await done.Task;
            return new KeeperResponse(null, null);
        }))
        {
            stopping = new KeeperClient(SocketPath).AskAsync(new KeeperRequest("stop"), Patience, CancellationToken.None);
            await asked.Task.WaitAsync(Patience);
            var answered = server.AnsweredAsync(Patience);
            Assert.False(answered.IsCompleted);
            done.SetResult();
            await answered.WaitAsync(Patience);
        }
        Assert.Null((await stopping).Error);
        await Assert.ThrowsAsync<KeeperAbsentException>(() => new KeeperClient(SocketPath).AskAsync(new KeeperRequest("status"), Patience, CancellationToken.None));
    }

    [Fact]
    public async Task Answered_GivesUpOnARequestThatDoesNotEnd()
    {
        Task<KeeperResponse> asking;
        await using (var server = KeeperServer.Listen(SocketPath, async (_, cancellation) =>
        {
            await Task.Delay(Timeout.Infinite, cancellation);
            throw new PolluxException("not reached");
        }))
        {
            asking = new KeeperClient(SocketPath).AskAsync(new KeeperRequest("stop"), Patience, CancellationToken.None);
            await server.AnsweredAsync(TimeSpan.FromMilliseconds(100));
        }
        await Assert.ThrowsAnyAsync<OutcomeUnknownException>(() => asking);
    }
}

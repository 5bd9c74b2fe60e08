using System.Net.Sockets;
using System.Text;
using Pollux.Cluster.Api;
using Pollux.Core;

namespace Pollux.Unit.Tests.Cluster;

/// <summary>Whether a request that failed may have been carried out decides what is told, and what is undone.</summary>
public sealed class AgentClientTests : IDisposable
{
    private static readonly VmName Vm = VmName.Create("redis");
    private static readonly TimeSpan Within = TimeSpan.FromSeconds(20);
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"agent-{Guid.NewGuid():N}.sock");
    private readonly Socket _agent = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    [Fact]
    public async Task NoSocket_IsNoAgent()
    {
        using var client = AgentClient.Local(_path);
        await Assert.ThrowsAsync<NoAgentException>(() => client.StopAsync(Vm, false, Within, CancellationToken.None));
    }

    [Fact]
    public async Task NobodyListens_NothingWasDone()
    {
        _agent.Bind(new UnixDomainSocketEndPoint(_path));
        using var client = AgentClient.Local(_path);
        await Assert.ThrowsAsync<AgentUnreachableException>(() => client.StopAsync(Vm, false, Within, CancellationToken.None));
    }

    [Theory]
    [InlineData("")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Le")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"name\":")]
    public async Task AgentThatDiesInItsAnswer_LeavesTheOutcomeUnknown(string answer)
    {
        _agent.Bind(new UnixDomainSocketEndPoint(_path));
        _agent.Listen(1);
        var answering = Task.Run(async () =>
        {
            using var connection = await _agent.AcceptAsync();
            await connection.ReceiveAsync(new byte[4096]);
            await connection.SendAsync(Encoding.ASCII.GetBytes(answer));
        });
        using var client = AgentClient.Local(_path);
        var broke = await Assert.ThrowsAnyAsync<OutcomeUnknownException>(() => client.StopAsync(Vm, false, Within, CancellationToken.None));
        Assert.Contains("whether it was done is unknown", broke.Message, StringComparison.Ordinal);
        await answering;
    }

    [Fact]
    public async Task AgentThatSaysNothing_LeavesTheOutcomeUnknown()
    {
        _agent.Bind(new UnixDomainSocketEndPoint(_path));
        _agent.Listen(1);
        using var client = AgentClient.Local(_path);
        await Assert.ThrowsAsync<AgentSilentException>(() => client.StopAsync(Vm, false, TimeSpan.FromMilliseconds(200), CancellationToken.None));
    }

    public void Dispose()
    {
        _agent.Dispose();
        File.Delete(_path);
    }
}

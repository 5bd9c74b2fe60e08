using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Pollux.Core;

namespace Pollux.Lab.Load;

/// <summary>Asks a guest's beacon what it remembers of what it said (guest/redis/beacon.c).</summary>
public static class BeaconMemory
{
    private const int WordsPerAnswer = 4096;

    /// <summary>The words from number <paramref name="first"/> up to the last one said.</summary>
    /// <param name="openSocket">A TCP socket in the network of the client.</param>
    /// <exception cref="PolluxException">The guest does not answer within <paramref name="patience"/>.</exception>
    public static async Task<IReadOnlyList<ulong>> ReadAsync(Func<Socket> openSocket, IPEndPoint beacon, ulong first, TimeSpan patience, CancellationToken cancellation = default)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(patience);
        try
        {
            using var socket = openSocket();
            await socket.ConnectAsync(beacon, deadline.Token).ConfigureAwait(false);
            await using var stream = new NetworkStream(socket);
            var words = new List<ulong>();
            int count;
            do
            {
                count = await ReadSomeAsync(stream, first + (ulong)words.Count, words, deadline.Token).ConfigureAwait(false);
            }
            while (count == WordsPerAnswer);
            // Until the guest has closed it too: nothing of this connection is under way any more.
            socket.Shutdown(SocketShutdown.Send);
            while (await stream.ReadAsync(new byte[1], deadline.Token).ConfigureAwait(false) > 0)
            {
            }
            return words;
        }
        catch (Exception e) when (e is IOException or SocketException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            throw new PolluxException($"the guest's beacon at {beacon} does not say what it remembers: {e.Message}", "see the guest's console", e);
        }
    }

    private static async Task<int> ReadSomeAsync(NetworkStream stream, ulong from, List<ulong> words, CancellationToken cancellation)
    {
        var request = new byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(request, from);
        BinaryPrimitives.WriteUInt64BigEndian(request.AsSpan(8), ulong.MaxValue);
        await stream.WriteAsync(request, cancellation).ConfigureAwait(false);
        var header = new byte[8];
        await stream.ReadExactlyAsync(header, cancellation).ConfigureAwait(false);
        var count = (int)BinaryPrimitives.ReadUInt64BigEndian(header);
        var answer = new byte[8 * count];
        await stream.ReadExactlyAsync(answer, cancellation).ConfigureAwait(false);
        for (var i = 0; i < count; i++)
        {
            words.Add(BinaryPrimitives.ReadUInt64BigEndian(answer.AsSpan(8 * i)));
        }
        return count;
    }
}

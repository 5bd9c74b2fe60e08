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
    public static Task<IReadOnlyList<ulong>> ReadAsync(Func<Socket> openSocket, IPEndPoint beacon, ulong first, TimeSpan patience, CancellationToken cancellation = default) =>
        GuestProgram.AskAsync<IReadOnlyList<ulong>>(openSocket, beacon, "beacon", patience, async (stream, within) =>
        {
            var words = new List<ulong>();
            int count;
            do
            {
                count = await ReadSomeAsync(stream, first + (ulong)words.Count, words, within).ConfigureAwait(false);
            }
            while (count == WordsPerAnswer);
            return words;
        }, cancellation);

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

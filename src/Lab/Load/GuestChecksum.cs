using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Pollux.Core;
using Pollux.Lab.Judgement;

namespace Pollux.Lab.Load;

/// <summary>What the guest's checksum program (guest/redis/checksum.c) said of its memory.</summary>
/// <param name="Pages">How many it keeps, of 4 KiB.</param>
/// <param name="Writes">How many pages it has rewritten since it began.</param>
/// <param name="Sum">Of all words, as the guest's processor read them just now.</param>
public sealed record GuestChecksum(ulong Pages, ulong Writes, ulong Sum)
{
    /// <summary>Null: the memory is what it must be after so many writes.</summary>
    public string? Complaint => KnownMemory.Sum(Pages, Writes) is var must && must != Sum
        ? $"after {Writes:N0} writes the sum of the guest's {Pages:N0} pages is {Sum:x16}, and must be {must:x16}" : null;

    /// <param name="openSocket">A TCP socket in the network of the client.</param>
    /// <exception cref="PolluxException">The guest does not answer within <paramref name="patience"/>.</exception>
    public static Task<GuestChecksum> ReadAsync(Func<Socket> openSocket, IPEndPoint program, TimeSpan patience, CancellationToken cancellation = default) =>
        GuestProgram.AskAsync(openSocket, program, "checksum", patience, async (stream, within) =>
        {
            var answer = new byte[3 * sizeof(ulong)];
            await stream.ReadExactlyAsync(answer, within).ConfigureAwait(false);
            return new GuestChecksum(At(0), At(1), At(2));

            ulong At(int n) => BinaryPrimitives.ReadUInt64BigEndian(answer.AsSpan(n * sizeof(ulong)));
        }, cancellation);
}

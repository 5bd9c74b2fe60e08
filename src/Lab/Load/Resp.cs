using System.Buffers.Text;
using System.Globalization;
using System.Text;

namespace Pollux.Lab.Load;

/// <summary>What a Redis server answered: one of the kinds of RESP 2 that single commands and MGET give.</summary>
public abstract record RespReply
{
    /// <summary><c>+OK</c> and the like.</summary>
    public sealed record Status(string Text) : RespReply;

    /// <summary>The server refused the command.</summary>
    public sealed record Error(string Text) : RespReply;

    public sealed record Integer(long Value) : RespReply;

    /// <summary>A value; null: there is no such key.</summary>
    public sealed record Bulk(string? Text) : RespReply;

    public sealed record Many(IReadOnlyList<RespReply> Replies) : RespReply;
}

/// <summary>Bytes that no Redis server sends.</summary>
public sealed class RespFormatException(string message) : Exception(message);

/// <summary>The wire format of Redis (RESP 2, redis.io/docs/reference/protocol-spec). It knows no sockets.</summary>
public static class Resp
{
    private const int MaxBulkBytes = 1 << 20;
    private const int MaxReplies = 1 << 16;
    private static readonly byte[] LineEnd = "\r\n"u8.ToArray();

    /// <summary>A command as an array of bulk strings.</summary>
    public static byte[] Command(params IReadOnlyCollection<string> words)
    {
        var text = new StringBuilder().Append(CultureInfo.InvariantCulture, $"*{words.Count}\r\n");
        foreach (var word in words)
        {
            text.Append(CultureInfo.InvariantCulture, $"${Encoding.Latin1.GetByteCount(word)}\r\n{word}\r\n");
        }
        return Encoding.Latin1.GetBytes(text.ToString());
    }

    /// <summary>Reads one reply from the beginning of <paramref name="bytes"/>; null: it is not whole yet.</summary>
    /// <param name="consumed">The bytes it took.</param>
    /// <exception cref="RespFormatException">No reply begins like this.</exception>
    public static RespReply? TryRead(ReadOnlySpan<byte> bytes, out int consumed)
    {
        consumed = 0;
        var end = bytes.IndexOf(LineEnd);
        if (end < 0)
        {
            return bytes.Length <= MaxBulkBytes ? null : throw new RespFormatException($"no end of line in {bytes.Length} bytes");
        }
        if (end == 0)
        {
            throw new RespFormatException("an empty line where a reply should begin");
        }
        var line = bytes[1..end];
        consumed = end + LineEnd.Length;
        return bytes[0] switch
        {
            (byte)'+' => new RespReply.Status(Encoding.Latin1.GetString(line)),
            (byte)'-' => new RespReply.Error(Encoding.Latin1.GetString(line)),
            (byte)':' => new RespReply.Integer(Number(line)),
            (byte)'$' => ReadBulk(bytes, Number(line), ref consumed),
            (byte)'*' => ReadMany(bytes, Number(line), ref consumed),
            var kind => throw new RespFormatException($"byte 0x{kind:x2} begins no reply"),
        };
    }

    private static RespReply.Bulk? ReadBulk(ReadOnlySpan<byte> bytes, long length, ref int consumed)
    {
        if (length == -1)
        {
            return new RespReply.Bulk(null);
        }
        if (length is < 0 or > MaxBulkBytes)
        {
            throw new RespFormatException($"a bulk string of {length} bytes");
        }
        var rest = bytes[consumed..];
        if (rest.Length < length + LineEnd.Length)
        {
            return null;
        }
        if (!rest[(int)length..].StartsWith(LineEnd))
        {
            throw new RespFormatException($"a bulk string of {length} bytes does not end there");
        }
        consumed += (int)length + LineEnd.Length;
        return new RespReply.Bulk(Encoding.Latin1.GetString(rest[..(int)length]));
    }

    private static RespReply.Many? ReadMany(ReadOnlySpan<byte> bytes, long count, ref int consumed)
    {
        if (count is < 0 or > MaxReplies)
        {
            throw new RespFormatException($"an array of {count} replies");
        }
        var replies = new List<RespReply>((int)count);
        while (replies.Count < count)
        {
            if (TryRead(bytes[consumed..], out var took) is not { } reply)
            {
                return null;
            }
            replies.Add(reply);
            consumed += took;
        }
        return new RespReply.Many(replies);
    }

    private static long Number(ReadOnlySpan<byte> line) => Utf8Parser.TryParse(line, out long value, out var used) && used == line.Length
        ? value
        : throw new RespFormatException($"'{Encoding.Latin1.GetString(line)}' is not a number");
}

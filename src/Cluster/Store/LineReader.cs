namespace Pollux.Cluster.Store;

/// <summary>Lines ended by \n out of a stream, none longer than a limit. The memory given is valid until the next read.</summary>
internal sealed class LineReader(Stream stream, int lineBytesMax)
{
    private byte[] buffer = new byte[4096];
    private int start;
    private int end;

    /// <summary>The next line without its end, null at the end of the stream.</summary>
    /// <exception cref="InvalidDataException">A line is longer than the limit, or the stream ends inside one.</exception>
    internal async ValueTask<ReadOnlyMemory<byte>?> ReadAsync(CancellationToken cancellation)
    {
        var searched = start;
        while (true)
        {
            var at = buffer.AsSpan(searched, end - searched).IndexOf((byte)'\n');
            if (at >= 0)
            {
                var line = buffer.AsMemory(start, searched + at - start);
                start = searched + at + 1;
                return line;
            }

            searched = end;
            MakeRoom(ref searched);
            var read = await stream.ReadAsync(buffer.AsMemory(end), cancellation).ConfigureAwait(false);
            if (read == 0)
            {
                return end == start ? null : throw new InvalidDataException("the stream ends inside a line");
            }

            end += read;
        }
    }

    private void MakeRoom(ref int searched)
    {
        if (end - start >= lineBytesMax)
        {
            throw new InvalidDataException($"a line is longer than {lineBytesMax} bytes");
        }

        if (end < buffer.Length)
        {
            return;
        }

        var target = start > buffer.Length / 2 ? buffer : new byte[Math.Min(buffer.Length * 2, lineBytesMax + 1)];
        buffer.AsSpan(start, end - start).CopyTo(target);
        (end, searched, start) = (end - start, searched - start, 0);
        buffer = target;
    }
}

using System.Diagnostics.CodeAnalysis;

namespace Pollux.Wire.Qmp;

/// <summary>
/// Cuts the bytes of a QMP connection into lines of any length (<c>query-qmp-schema</c> answers with 200 KB in one).
/// Not thread-safe.
/// </summary>
/// <param name="maxLineBytes">A longer line is refused: the other side is a guest's QEMU and need not be trusted.</param>
public sealed class QmpLineSplitter(int maxLineBytes = 64 << 20)
{
    private const int MinRead = 4096;

    private byte[] _buffer = new byte[16 << 10];
    private int _start;
    private int _end;
    private int _searched; // from _start, already known to hold no line end
    private long _offset;  // of _start in the stream

    /// <summary>Where to read the next bytes into. Invalidates lines given out before.</summary>
    public Memory<byte> GetMemory()
    {
        if (_buffer.Length - _end < MinRead)
        {
            MakeRoom();
        }

        return _buffer.AsMemory(_end);
    }

    /// <summary>Says how many bytes were read into <see cref="GetMemory"/>'s memory.</summary>
    public void Advance(int count) => _end += count;

    /// <summary>The next whole line without its end; empty lines are skipped. Valid until the next <see cref="GetMemory"/>.</summary>
    public bool TryReadLine(out ReadOnlySpan<byte> line)
    {
        while (true)
        {
            var at = _buffer.AsSpan(_start + _searched, _end - _start - _searched).IndexOf((byte)'\n');
            if (at < 0)
            {
                _searched = _end - _start;
                CheckLength(_searched);
                line = default;
                return false;
            }

            var length = _searched + at;
            CheckLength(length);
            line = _buffer.AsSpan(_start, length).TrimEnd((byte)'\r');
            _start += length + 1;
            _offset += length + 1;
            _searched = 0;
            if (!line.IsEmpty)
            {
                return true;
            }
        }
    }

    private void CheckLength(int length)
    {
        if (length > maxLineBytes)
        {
            throw new WireFormatException("QMP stream", _offset, $"a line of at most {maxLineBytes} bytes", "a longer one");
        }
    }

    private void MakeRoom()
    {
        var held = _end - _start;
        var target = held + MinRead > _buffer.Length / 2 ? new byte[_buffer.Length * 2] : _buffer;
        _buffer.AsSpan(_start, held).CopyTo(target);
        _buffer = target;
        _start = 0;
        _end = held;
    }
}

namespace Pollux.Simulation.Shipping;

/// <summary>One direction of a connection in memory that breaks after so many bytes or writes, wherever in an epoch that is. What came before arrives.</summary>
internal sealed class BrokenPipe(long breaksAfterBytes, long breaksAfterWrites)
{
    private const int PieceBytesMax = 64 << 10;
    private readonly object _lock = new();
    private readonly Queue<byte[]> _pieces = new();
    private int _read;
    private long _left = breaksAfterBytes;
    private long _writesLeft = breaksAfterWrites;
    private bool _isOver;

    public Stream Writer => new End(this, isWriter: true);
    public Stream Reader => new End(this, isWriter: false);

    private void Write(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            _isOver |= _writesLeft-- <= 0;
            while (bytes.Length > 0 && !_isOver)
            {
                var piece = bytes[..(int)Math.Min(Math.Min(bytes.Length, PieceBytesMax), _left)];
                if (piece.Length > 0)
                {
                    _pieces.Enqueue(piece.ToArray());
                }
                _left -= piece.Length;
                _isOver = _left == 0;
                bytes = bytes[piece.Length..];
            }
            Monitor.PulseAll(_lock);
            if (bytes.Length > 0)
            {
                throw new IOException("the connection broke");
            }
        }
    }

    private int Read(Span<byte> into)
    {
        lock (_lock)
        {
            while (_pieces.Count == 0)
            {
                if (_isOver)
                {
                    return 0;
                }
                Monitor.Wait(_lock);
            }
            var piece = _pieces.Peek();
            var bytes = piece.AsSpan(_read, Math.Min(into.Length, piece.Length - _read));
            bytes.CopyTo(into);
            _read += bytes.Length;
            if (_read == piece.Length)
            {
                _pieces.Dequeue();
                _read = 0;
            }
            return bytes.Length;
        }
    }

    private void Close()
    {
        lock (_lock)
        {
            _isOver = true;
            Monitor.PulseAll(_lock);
        }
    }

    private sealed class End(BrokenPipe pipe, bool isWriter) : Stream
    {
        public override bool CanRead => !isWriter;
        public override bool CanSeek => false;
        public override bool CanWrite => isWriter;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
        public override void Write(ReadOnlySpan<byte> buffer) => pipe.Write(buffer);
        public override void Write(byte[] buffer, int offset, int count) => pipe.Write(buffer.AsSpan(offset, count));
        public override int Read(Span<byte> buffer) => pipe.Read(buffer);
        public override int Read(byte[] buffer, int offset, int count) => pipe.Read(buffer.AsSpan(offset, count));
        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        protected override void Dispose(bool disposing) => pipe.Close();
    }
}

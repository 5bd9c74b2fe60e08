using Pollux.Wire.Migration;

namespace Pollux.Unit.Tests.Wire;

/// <summary>Remembers what a scanner found, with pages put together from their pieces.</summary>
internal sealed class RecordingSink : IRamSink
{
    private readonly byte[] _page = new byte[RamStreamScanner.PageSize];
    private int _have;

    /// <summary>One line per thing found, in order; equal lists mean equal streams.</summary>
    public List<string> Found { get; } = [];

    public void OnBlock(int block, string name, ulong length) => Found.Add($"block {block} {name} {length}");

    public void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece)
    {
        Assert.Equal(_have, offset);
        piece.CopyTo(_page.AsSpan(offset));
        _have += piece.Length;
        if (_have == _page.Length)
        {
            Found.Add($"page {block} {address:x} {Pollux.Wire.Replication.Crc32C.Of(_page):x8}");
            _have = 0;
        }
    }

    public void OnZeroPage(int block, ulong address) => Found.Add($"zero {block} {address:x}");

    public void OnCommand(ushort command, ReadOnlySpan<byte> payload) => Found.Add($"command {command} {Convert.ToHexStringLower(payload)}");
}

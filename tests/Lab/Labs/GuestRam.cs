using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Pollux.Linux.Processes;

namespace Pollux.Lab.Tests.Labs;

/// <summary>A guest's RAM as its QEMU has it, for tests that spoil it.</summary>
internal sealed class GuestRam : IDisposable
{
    public const int PageBytes = 4096;
    private readonly SafeFileHandle _file;

    private GuestRam(SafeFileHandle file) => _file = file;

    public static GuestRam Open(int qemu)
    {
        const string member = "mem-path=";
        var argument = ProcessTable.ArgumentsOf(qemu)!.Single(a => a.Contains(member, StringComparison.Ordinal));
        var path = argument.Split(',').Single(p => p.StartsWith(member, StringComparison.Ordinal))[member.Length..];
        return new GuestRam(File.OpenHandle($"/proc/{qemu}/root{path}", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite));
    }

    /// <summary>Flips a bit of the byte at this offset of the file.</summary>
    public void Flip(long address)
    {
        Span<byte> value = stackalloc byte[1];
        RandomAccess.Read(_file, value, address);
        value[0] ^= 1;
        RandomAccess.Write(_file, value, address);
    }

    /// <summary>Where a page begins that holds just these words; null: nowhere.</summary>
    public long? Find(ReadOnlySpan<ulong> page)
    {
        var piece = new byte[1 << 20];
        for (long at = 0; RandomAccess.Read(_file, piece, at) is > 0 and var read; at += read)
        {
            for (var i = 0; i + PageBytes <= read; i += PageBytes)
            {
                if (MemoryMarshal.Cast<byte, ulong>(piece.AsSpan(i, PageBytes)).SequenceEqual(page))
                {
                    return at + i;
                }
            }
        }
        return null;
    }

    public void Dispose() => _file.Dispose();
}

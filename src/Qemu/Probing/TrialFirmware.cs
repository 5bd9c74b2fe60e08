namespace Pollux.Qemu.Probing;

/// <summary>
/// A firmware of 64 KiB that shows whether an accelerator runs what a Linux guest needs: it enters 64-bit mode and computes there. On
/// QEMU's debug console it says <see cref="Began"/>, <see cref="InLongMode"/>, and <see cref="Computed"/> after a hundred million
/// instructions: some 30 ms of a real CPU, minutes where KVM emulates each instruction.
/// </summary>
internal static class TrialFirmware
{
    internal const byte Began = (byte)'r';
    internal const byte InLongMode = (byte)'l';
    internal const byte Computed = (byte)'c';

    private const int Length = 64 << 10;
    private const int CodeAt = 0xff00;
    private const int TablesAt = 0xffa0;
    private const int ResetAt = 0xfff0;

    /// <summary>A CPU begins at the reset vector in 16-bit mode; the image stands below 4 GiB and below 1 MiB (at 0xf0000).</summary>
    private static ReadOnlySpan<byte> Code =>
    [
        0xfa,                                     //        cli
        0xb0, Began, 0xe6, 0xe9,                  //        out 'r', 0xe9
        0x2e, 0x66, 0x0f, 0x01, 0x16, 0xc0, 0xff, //        lgdt cs:[0xffc0]
        0x0f, 0x20, 0xc0,                         //        mov eax, cr0
        0x0c, 0x01,                               //        or al, 1            protected mode
        0x0f, 0x22, 0xc0,                         //        mov cr0, eax
        0x66, 0xea, 0x1c, 0xff, 0x0f, 0, 8, 0,    //        jmp 8:0xfff1c
        0x66, 0xb8, 0x10, 0,                      // fff1c: mov ax, 16
        0x8e, 0xd8,                               //        mov ds, ax
        0xc7, 5, 0, 0x10, 0, 0, 3, 0x20, 0, 0,    //        [0x1000] = 0x2003   page tables: the first 2 MiB, one to one
        0xc7, 5, 4, 0x10, 0, 0, 0, 0, 0, 0,       //        [0x1004] = 0
        0xc7, 5, 0, 0x20, 0, 0, 3, 0x30, 0, 0,    //        [0x2000] = 0x3003
        0xc7, 5, 4, 0x20, 0, 0, 0, 0, 0, 0,       //        [0x2004] = 0
        0xc7, 5, 0, 0x30, 0, 0, 0x83, 0, 0, 0,    //        [0x3000] = 0x83
        0xc7, 5, 4, 0x30, 0, 0, 0, 0, 0, 0,       //        [0x3004] = 0
        0xb8, 0, 0x10, 0, 0,                      //        mov eax, 0x1000
        0x0f, 0x22, 0xd8,                         //        mov cr3, eax
        0xb8, 0x20, 0, 0, 0,                      //        mov eax, 0x20       physical address extension
        0x0f, 0x22, 0xe0,                         //        mov cr4, eax
        0xb9, 0x80, 0, 0, 0xc0,                   //        mov ecx, 0xc0000080
        0x31, 0xd2,                               //        xor edx, edx
        0xb8, 0, 1, 0, 0,                         //        mov eax, 0x100      EFER.LME
        0x0f, 0x30,                               //        wrmsr
        0xb8, 1, 0, 0, 0x80,                      //        mov eax, 0x80000001 paging
        0x0f, 0x22, 0xc0,                         //        mov cr0, eax
        0xea, 0x8b, 0xff, 0x0f, 0, 0x18, 0,       //        jmp 24:0xfff8b
        0xb0, InLongMode, 0xe6, 0xe9,             // fff8b: out 'l', 0xe9
        0xb9, 0, 0, 0, 3,                         //        mov ecx, 50331648
        0xff, 0xc9,                               // fff94: dec ecx
        0x75, 0xfc,                               //        jnz fff94
        0xb0, Computed, 0xe6, 0xe9,               //        out 'c', 0xe9
        0xf4,                                     // fff9c: hlt
        0xeb, 0xfd,                               //        jmp fff9c
    ];

    /// <summary>Segments: none, 32-bit code, data, 64-bit code, all marked as used, for a ROM cannot be written; then the register.</summary>
    private static ReadOnlySpan<byte> Tables =>
    [
        0, 0, 0, 0, 0, 0, 0, 0,
        0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0,
        0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0,
        0xff, 0xff, 0, 0, 0, 0x9b, 0xaf, 0,
        31, 0, 0xa0, 0xff, 0x0f, 0,
    ];

    private static ReadOnlySpan<byte> Reset => [0xea, 0x00, 0xff, 0x00, 0xf0]; // jmp 0xf000:0xff00

    internal static byte[] Image()
    {
        var image = new byte[Length];
        Code.CopyTo(image.AsSpan(CodeAt));
        Tables.CopyTo(image.AsSpan(TablesAt));
        Reset.CopyTo(image.AsSpan(ResetAt));
        return image;
    }
}

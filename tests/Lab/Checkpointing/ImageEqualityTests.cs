using System.Buffers.Binary;
using Pollux.Core;
using Pollux.Lab.Layout;
using Pollux.Lab.Tests.Breadth;
using Pollux.Qemu.Spec;
using Pollux.Replication.Compression;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Checkpointing;

/// <summary>
/// The ground of everything: at a cut, the standby's image is the guest's RAM, byte for byte. Real QEMU, real guests, the code of the
/// product from the checkpoint channel to the image.
/// </summary>
public sealed class ImageEqualityTests(ITestOutputHelper output)
{
    /// <summary>guest/boot32/boot32.s: where its mark and its round stand, and its first page.</summary>
    private const long Mark = 2 << 20;
    private const long Round = Mark + 8;
    private const long FirstPage = 4 << 20;
    private const int PageBytes = 4096;

    private static string Cache => Path.Combine(LabPrograms.Find().Root, ".cache/guests");

    [Fact]
    public Task LinuxUnderEmulation_DirtyingMemory_ImageEqualsItsRamAtEveryCut() => LinuxAsync("qemu-system-x86_64", CompressionMode.Always);

    [Fact]
    [Trait("Suite", "long")]
    public Task LinuxUnderEmulation_NothingCompressed_ImageEqualsItsRamAtEveryCut() => LinuxAsync("qemu-system-x86_64", CompressionMode.Never);

    [Theory]
    [Trait("Suite", "long")]
    [InlineData("trixie")]
    [InlineData("trixie-backports")]
    public async Task LinuxUnderTheQemuOfALaterDebian_ImageEqualsItsRamAtEveryCut(string suite) => await LinuxAsync(await UnpackedQemu.OfAsync(suite), CompressionMode.Always);

    private async Task LinuxAsync(string qemu, CompressionMode compression)
    {
        var spec = Spec(Accelerator.Tcg, 192, Path.Combine(Cache, "redis/vmlinuz"), Path.Combine(Cache, "redis/initrd.gz"), "console=ttyS0 pollux.dirty=48:4000");
        await using var machine = await CheckpointedMachine.BootAsync(spec, [], m => m.Console().Contains("starting redis", StringComparison.Ordinal), qemu, compression);
        machine.CopyFirst();
        AssertEqual(machine);
        var pages = CutAndCompare(machine, epochs: 40);
        Assert.True(pages > 1000, $"the guest dirties memory: {pages} pages in all epochs");
        Say(machine);
        Assert.True(machine.Shipped.PartPages > 0, "some pages are sent in part");
        Assert.Equal(compression == CompressionMode.Never, machine.Sent.CompressedFrames == 0);
    }

    [KvmFact]
    public async Task GuestUnderKvm_RewritingPages_ImageEqualsItsRamAtEveryCut()
    {
        await using var machine = await BootBoot32Async(Accelerator.Kvm, "pages=300 mib=32 words=4");
        machine.CopyFirst();
        AssertEqual(machine);
        var begun = RoundOf(machine.ImageRam(Round, 4));
        for (var epoch = 0; RoundOf(machine.ImageRam(Round, 4)) < begun + 3; epoch++)
        {
            Assert.True(epoch < 400, "the guest gets on under KVM");
            CutAndCompare(machine, epochs: 1);
        }
        CutAndCompare(machine, epochs: 20);
        Say(machine);
    }

    [Fact]
    public async Task Comparison_WithOnePageThatWasNotApplied_FindsIt()
    {
        await using var machine = await BootBoot32Async(Accelerator.Tcg, "pages=100 mib=16");
        machine.CopyFirst();
        AssertEqual(machine);
        const long dropped = FirstPage;
        var before = machine.ImageRam(dropped, PageBytes).ToArray();
        for (var cuts = 0; machine.ImageRam(dropped, PageBytes).SequenceEqual(before); cuts++)
        {
            Assert.True(cuts < 400, "the guest rewrites the page");
            CutAndCompare(machine, epochs: 1);
        }

        // The image as it would be had that one page of the epoch been lost on the way.
        before.CopyTo(machine.ImageRam(dropped, PageBytes));

        var found = machine.FirstDifference();
        Assert.NotNull(found);
        Assert.Equal(dropped, found.Value & ~(PageBytes - 1L));
    }

    private void Say(CheckpointedMachine machine)
    {
        var s = machine.Shipped;
        output.WriteLine($"{s.ShippedBytes} of {s.CapturedBytes} bytes shipped; {s.UnchangedPages} unchanged, {s.ZeroPages} zero, {s.PartPages} in part, {s.WholePages} whole; {machine.ScrubbedPages} scrubbed in {machine.ScrubMicros:0} µs a cut");
        var link = machine.Sent;
        output.WriteLine($"{link.CompressedFrames} of {link.Frames} frames compressed; {link.SentBytes} bytes sent for {link.Bytes}, first copy {link.FirstSentBytes} for {link.FirstBytes}");
        Assert.True(machine.ScrubbedPages > 0);
    }

    private static long CutAndCompare(CheckpointedMachine machine, int epochs)
    {
        long pages = 0;
        for (var i = 0; i < epochs; i++)
        {
            pages += machine.Cut();
            AssertEqual(machine);
        }
        return pages;
    }

    private static void AssertEqual(CheckpointedMachine machine)
    {
        if (machine.FirstDifference() is { } at)
        {
            Assert.Fail($"after epoch {machine.Applied} the image differs from the guest's RAM at 0x{at:x}");
        }
    }

    private static Task<CheckpointedMachine> BootBoot32Async(Accelerator accelerator, string commandLine) => CheckpointedMachine.BootAsync(
        Spec(accelerator, 64, Path.Combine(Cache, "boot32/boot32.elf"), null, commandLine), ["-bios", "qboot.rom"],
        m => m.GuestRam(Mark, 6).SequenceEqual("BOOT32"u8) && RoundOf(m.GuestRam(Round, 4)) > 0);

    private static uint RoundOf(ReadOnlySpan<byte> word) => BinaryPrimitives.ReadUInt32LittleEndian(word);

    private static VmSpec Spec(Accelerator accelerator, long mib, string kernel, string? initrd, string commandLine) => new(
        VmName.Create("equal"), 1, mib << 20, "q35", "qemu64", accelerator, kernel, initrd, commandLine, [], Availability.FaultTolerant, new FaultToleranceSpec());
}

/// <summary>Skipped, and said so, where /dev/kvm does not open. The guest of such a test stays in 32-bit mode: it runs under every KVM.</summary>
internal sealed class KvmFactAttribute : FactAttribute
{
    public KvmFactAttribute()
    {
        try
        {
            using var opened = File.OpenHandle("/dev/kvm", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Skip = $"/dev/kvm does not open here: {e.Message}";
        }
    }
}

using System.Buffers.Binary;
using Pollux.Core;
using Pollux.Lab.Layout;
using Pollux.Lab.Migration;
using Pollux.Migration.Policies;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Tests.Migration;

/// <summary>Guests that are moved in tests, and how to see that they go on.</summary>
internal static class MigrationGuests
{
    /// <summary>guest/boot32/boot32.s: where its mark and its round stand.</summary>
    private const long Mark = 2 << 20;
    private const long Round = Mark + 8;

    private static string Cache => Path.Combine(LabPrograms.Find().Root, ".cache/guests");

    /// <summary>A 32-bit guest of 64 MiB that rewrites pages, under KVM.</summary>
    public static async Task<MovableGuest> Boot32Async(string commandLine = "pages=4000 mib=32", string qemu = MovableSpec.Stock)
    {
        var guest = await MovableGuest.BootAsync(
            new MovableSpec(Spec(Accelerator.Kvm, 64, Path.Combine(Cache, "boot32/boot32.elf"), null, commandLine), qemu, ["-bios", "qboot.rom"]), CancellationToken.None);
        await UpAsync(guest, g => g.Ram.Span(Mark, 6).SequenceEqual("BOOT32"u8) && RoundOf(g) > 0);
        return guest;
    }

    /// <summary>Linux under emulation, with the load of guest/redis/dirty.c.</summary>
    public static async Task<MovableGuest> LinuxAsync(string dirty = "48:4000", string qemu = MovableSpec.Stock)
    {
        var guest = await MovableGuest.BootAsync(
            new MovableSpec(Spec(Accelerator.Tcg, 192, Path.Combine(Cache, "redis/vmlinuz"), Path.Combine(Cache, "redis/initrd.gz"), $"console=ttyS0 pollux.dirty={dirty}"), qemu),
            CancellationToken.None);
        await UpAsync(guest, g => g.Console().Contains("pages written", StringComparison.Ordinal));
        return guest;
    }

    /// <summary>How often a 32-bit guest has rewritten its pages.</summary>
    public static uint RoundOf(MovableGuest guest) => BinaryPrimitives.ReadUInt32LittleEndian(guest.Ram.Span(Round, 4));

    /// <summary>The guest gets on: a 32-bit one by its rounds, Linux by what it says.</summary>
    public static Task UntilGoingOnAsync(MovableGuest guest)
    {
        if (guest.Spec.Vm.Accelerator == Accelerator.Kvm)
        {
            var before = RoundOf(guest);
            return guest.UntilAsync(g => RoundOf(g) > before + 1, "going on", CancellationToken.None);
        }
        var said = guest.Console().Length;
        return guest.UntilAsync(g => g.Console().Length > said + 40, "going on", CancellationToken.None);
    }

    public static void AssertEqualRam(MovableGuest source, MovableGuest destination)
    {
        if (source.FirstDifference(destination) is { } at)
        {
            Assert.Fail($"the destination's RAM differs from the source's at 0x{at:x}");
        }
    }

    private static async Task UpAsync(MovableGuest guest, Func<MovableGuest, bool> up)
    {
        try
        {
            await guest.UntilAsync(up, "up", CancellationToken.None);
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    private static VmSpec Spec(Accelerator accelerator, long mib, string kernel, string? initrd, string commandLine) => new(
        VmName.Create("moved"), 1, mib << 20, "q35", "qemu64", accelerator, kernel, initrd, commandLine, [], Availability.None, new FaultToleranceSpec());
}

/// <summary>QEMU decides by its own limit; or the guest is stopped as soon as the condition holds; or never.</summary>
internal sealed class TestPolicy(double downtimeLimitMs, Func<MigrationSample, MigrationOrder>? decide = null, bool autoConverge = false) : IMigrationPolicy
{
    public string Name => "test";

    public static TestPolicy Never => new(1);

    public MigrationSetup Begin(MigrationTerms terms) => new(downtimeLimitMs, autoConverge);

    public MigrationOrder Decide(MigrationTerms terms, IReadOnlyList<MigrationSample> samples) => decide?.Invoke(samples[^1]) ?? new MigrationOrder.GoOn();
}

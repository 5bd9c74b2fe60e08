using System.Diagnostics;
using Pollux.Qemu.Process;

namespace Pollux.Unit.Tests.Qemu;

/// <summary>What a dead keeper left is found, and ended with its memory; nothing else is.</summary>
public sealed class VmDirectoryTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("pollux-vmdir-").FullName;

    private string RamFile => Path.Combine(_directory, "guest.ram");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Clear_EndsTheQemuOfADeadKeeper_AlsoOneThatWasJustBeingStarted(bool isPidKnown)
    {
        using var directory = VmDirectory.Take(Path.Combine(_directory, "vm"));
        using var qemu = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "read word", RamFile]) { RedirectStandardInput = true })!;
        await File.WriteAllTextAsync(RamFile, "memory");
        directory.WriteRecord(new QemuRecord(isPidKnown ? qemu.Id : QemuRecord.NotKnownYet, RamFile));
        Assert.Equal(isPidKnown, directory.HasOrphan());

        await directory.ClearAsync();

        await qemu.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(10));
        Assert.False(File.Exists(RamFile));
        Assert.Null(directory.ReadRecord());
    }

    [Fact]
    public void Notes_AreTheRecordsAndKeepEachOther()
    {
        using var directory = VmDirectory.Take(Path.Combine(_directory, "vm"));
        directory.NotePowerDown(true);
        Assert.Null(directory.ReadRecord());

        directory.WriteRecord(new QemuRecord(7, RamFile));
        Parallel.Invoke(() => directory.NotePowerDown(true), () => directory.NoteMove(true));

        Assert.Equal(new QemuRecord(7, RamFile, Moves: true, PowerDownAsked: true), directory.ReadRecord());
        directory.NoteMove(false);
        Assert.Equal(new QemuRecord(7, RamFile, PowerDownAsked: true), directory.ReadRecord());
    }

    [Fact]
    public async Task Clear_WhenTheNumberIsAnothersByNow_LeavesThat()
    {
        using var directory = VmDirectory.Take(Path.Combine(_directory, "vm"));
        using var other = Process.Start("/bin/sleep", "60");
        try
        {
            directory.WriteRecord(new QemuRecord(other.Id, RamFile));
            await directory.ClearAsync();
            Assert.False(other.HasExited);
        }
        finally
        {
            other.Kill();
        }
    }
}

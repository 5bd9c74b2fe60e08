using System.Text;
using Pollux.Qemu.Probing;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Tests.Probing;

public sealed class AcceleratorProbeTests : IDisposable
{
    private const string Qemu = "qemu-system-x86_64";
    private readonly string _directory = Directory.CreateTempSubdirectory("pollux-probe-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task TrialGuest_UnderEmulation_SpeaksItsThreeWords()
    {
        var patience = TimeSpan.FromSeconds(30);
        var (heard, complaint) = await AcceleratorProbe.BootAsync(Qemu, Accelerator.Tcg, patience, patience, CancellationToken.None);
        Assert.Equal("rlc", Encoding.ASCII.GetString([.. heard]));
        Assert.DoesNotContain("error", complaint, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Finding_OfTheSameBinaryAndBoot_IsRemembered_OfAnotherIsNot()
    {
        var qemu = Script("echo tried >> $0.count; printf rl");
        var first = await AcceleratorProbe.FindAsync(qemu, _directory, CancellationToken.None);
        Assert.Equal("tcg", first.Name);
        Assert.NotNull(first.NextStep);

        Assert.Equal(first, await AcceleratorProbe.FindAsync(qemu, _directory, CancellationToken.None));
        Assert.Equal(Trials(1), Tried(qemu));

        File.SetLastWriteTimeUtc(qemu, DateTime.UnixEpoch);
        await AcceleratorProbe.FindAsync(qemu, _directory, CancellationToken.None);
        Assert.Equal(Trials(2), Tried(qemu));
    }

    [Fact]
    public async Task Kvm_WhoseGuestSpeaks_IsUsed_WhereItOpens()
    {
        var finding = await AcceleratorProbe.FindAsync(Script("printf rlc"), _directory, CancellationToken.None);
        Assert.Equal(File.Exists("/dev/kvm") ? "kvm" : "tcg", finding.Name);
    }

    [Fact]
    public async Task Kvm_ThatIsTooSlow_IsNotUsed()
    {
        var finding = await AcceleratorProbe.FindAsync(Script("printf rl; exec sleep 60"), _directory, CancellationToken.None);
        Assert.Equal("tcg", finding.Name);
        Assert.Contains("TCG", finding.Why, StringComparison.Ordinal);
    }

    /// <summary>Without /dev/kvm nothing is tried.</summary>
    private static int Trials(int count) => File.Exists("/dev/kvm") ? count : 0;

    private static int Tried(string qemu) => File.Exists($"{qemu}.count") ? File.ReadAllLines($"{qemu}.count").Length : 0;

    private string Script(string body)
    {
        var path = Path.Combine(_directory, "qemu");
        File.WriteAllText(path, $"#!/bin/sh\n{body}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }
}

using Pollux.Lab.Layout;
using Pollux.Qemu.Probing;

namespace Pollux.Lab.Tests.Probing;

/// <summary>What the doctor says of a QEMU, each found by trying.</summary>
public sealed class QemuProbeTests : IDisposable
{
    private const string Qemu = "qemu-system-x86_64";
    private readonly string _directory = Directory.CreateTempSubdirectory("pollux-probe-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task RealQemu_Checkpoints()
    {
        var found = await LookAsync(Qemu);
        Assert.Equal(Verdict.Ok, found["QEMU"].Verdict);
        Assert.True(found["checkpoints"].Verdict == Verdict.Ok, found["checkpoints"].Sentence);
    }

    [Fact]
    public async Task QemuThatRefusesToCheckpoint_IsMissingWithItsReason()
    {
        // A device that cannot be migrated makes a real QEMU refuse.
        var found = await LookAsync(Script($"""
            [ "$1" = --version ] && exec {Qemu} --version
            exec {Qemu} "$@" -object memory-backend-ram,id=m,size=1M,share=on -device ivshmem-plain,memdev=m,master=off
            """));
        var checkpoints = found["checkpoints"];
        Assert.Equal(Verdict.Missing, checkpoints.Verdict);
        Assert.Contains("cannot protect a VM", checkpoints.Sentence, StringComparison.Ordinal);
        Assert.Contains("ivshmem", checkpoints.Sentence, StringComparison.Ordinal);
        Assert.NotNull(checkpoints.NextStep);
    }

    [Fact]
    public async Task QemuThatDiesAtStart_IsMissingWithItsLastWords()
    {
        var found = await LookAsync(Script("""
            [ "$1" = --version ] && { echo "QEMU emulator version 11.0.0"; exit 0; }
            echo "no such machine" >&2
            exit 1
            """));
        Assert.Equal(Verdict.Missing, found["checkpoints"].Verdict);
        Assert.Contains("no such machine", found["checkpoints"].Sentence, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/nonexistent/qemu")]
    [InlineData("/bin/true")]
    public async Task WhatIsNoQemu_IsOneFindingWithANextStep(string program)
    {
        var finding = Assert.Single((await LookAsync(program)).Values);
        Assert.Equal(Verdict.Missing, finding.Verdict);
        Assert.DoesNotContain('\n', finding.Sentence);
        Assert.NotNull(finding.NextStep);
    }

    private static async Task<Dictionary<string, Finding>> LookAsync(string qemu) =>
        (await QemuProbe.LookAsync(qemu, LabPrograms.ShimOfCheckout(), CancellationToken.None)).ToDictionary(f => f.Subject);

    private string Script(string body)
    {
        var path = Path.Combine(_directory, "qemu");
        File.WriteAllText(path, $"#!/bin/sh\n{body}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }
}

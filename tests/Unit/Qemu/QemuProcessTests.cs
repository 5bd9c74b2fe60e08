using Pollux.Qemu.Process;

namespace Pollux.Unit.Tests.Qemu;

/// <summary>What is said of a QEMU's end; a shell stands in for QEMU.</summary>
public sealed class QemuProcessTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly string _directory = Directory.CreateTempSubdirectory("pollux-qemu-process-").FullName;

    private string Log => Path.Combine(_directory, "qemu.log");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("echo 'qemu-system: no such CPU'", "QEMU ended: qemu-system: no such CPU")]
    [InlineData("echo 'qemu-system: no such CPU'; echo 'try another'", "QEMU ended: qemu-system: no such CPU")]
    [InlineData("echo 'qemu-system: warning: slow'", "QEMU ended without a word")]
    [InlineData("true", "QEMU ended without a word")]
    public async Task Exited_SaysWhatQemuSaid(string script, string said) => Assert.Equal(said, await EndedAsync(script));

    [Theory]
    [InlineData("touch -d '1 hour ago' \"$LOG\"")]
    [InlineData("echo 'qemu-system: warning: slow'")]
    public async Task Exited_AfterItWentOn_DoesNotTakeAnEarlierComplaintForTheReason(string meanwhile) => Assert.Equal(
        "QEMU ended without a word; the last complaint in its log is of before: qemu-system: a stream broke",
        await EndedAsync($"LOG={Log}; echo 'qemu-system: a stream broke'; {meanwhile}"));

    private async Task<string> EndedAsync(string script)
    {
        using var process = QemuProcess.Start(new QemuLaunch("/bin/sh", ["-c", $"{script}; sleep 0.2"], null, null, Log));
        return await process.Exited.WaitAsync(Patience);
    }
}

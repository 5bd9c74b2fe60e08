using System.Diagnostics;
using Pollux.Linux.Processes;

namespace Pollux.Unit.Tests.Linux;

public sealed class ProcessTableTests
{
    [Fact]
    public void LivingProcess_HasItsMemory() => Assert.False(ProcessTable.HasLostItsMemory(Environment.ProcessId));

    [Fact]
    public void ProcessThatNobodyHasReaped_HasLostItsMemory()
    {
        // The shell's child ends once the shell has become a program that never asks for it.
        using var parent = Process.Start(new ProcessStartInfo(
            "/bin/sh", ["-c", "(until grep -q sleep /proc/$$/comm; do :; done) & echo $!; exec sleep 60"]) { RedirectStandardOutput = true })!;
        var child = int.Parse(parent.StandardOutput.ReadLine()!, System.Globalization.CultureInfo.InvariantCulture);
        try
        {
            Assert.True(SpinWait.SpinUntil(() => !ProcessTable.IsAlive(child), TimeSpan.FromSeconds(10)));
            Assert.True(Directory.Exists($"/proc/{child}"), "it is there still, as a zombie");
            Assert.True(ProcessTable.HasLostItsMemory(child));
        }
        finally
        {
            parent.Kill();
        }
    }

    [Fact]
    public void ProcessThatIsGone_HasLostItsMemory()
    {
        using var process = Process.Start("/bin/true");
        process.WaitForExit();
        Assert.True(ProcessTable.HasLostItsMemory(process.Id));
    }
}

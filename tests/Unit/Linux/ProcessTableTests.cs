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
        // The shell's child ends at once; the program that the shell becomes never asks for it.
        using var parent = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "true & echo $!; exec sleep 60"]) { RedirectStandardOutput = true })!;
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

using System.Diagnostics;
using Pollux.Core;
using Pollux.Lab.Layout;

namespace Pollux.Lab.Tests.Labs;

[Collection(BareLabTests.Name)]
public sealed class LifecycleTests(BareLab lab)
{
    [Fact]
    public async Task Up_BesideAnotherLab_BothAnswerAndDownTakesOnlyItsOwn()
    {
        var second = await LabCluster.UpAsync(TestLabs.Second, new LabOptions(3));
        try
        {
            // Three hosts have no witness.
            Assert.Equal([(true, true), (true, true), (true, true)], (await second.StatusAsync()).Select(h => (h.Etcd == true, h.Agent == true)));
        }
        finally
        {
            await second.DownAsync();
        }

        Assert.Empty(Leftovers.Find(TestLabs.Second));
        Assert.All(await lab.Cluster.StatusAsync(), h => Assert.True(h.Etcd));
    }

    [Fact]
    public async Task Up_Again_KeepsWhatRuns()
    {
        var before = lab.Cluster["h1"].InitProcess();

        await LabCluster.UpAsync(lab.Cluster.Name, new LabOptions(WithAgents: false));

        Assert.Equal(before, lab.Cluster["h1"].InitProcess());
    }

    [Fact]
    public async Task Up_WithOtherHosts_IsRefusedAndHarmsNothing()
    {
        var refusal = await Assert.ThrowsAsync<PolluxException>(() => LabCluster.UpAsync(lab.Cluster.Name, new LabOptions(3, WithAgents: false)));

        Assert.Contains("with 2 hosts, not 3", refusal.Problem, StringComparison.Ordinal);
        Assert.All(await lab.Cluster.StatusAsync(), h => Assert.True(h.Etcd));
    }

    /// <summary>A host's etcd, namespaces, mounts and cgroup are there when the command is killed with no chance to clean up.</summary>
    [Theory]
    [InlineData("building the switch")]
    [InlineData("starting h1")]
    [InlineData("starting w")]
    [InlineData("waiting for etcd")]
    public async Task Down_AfterUpWasKilled_LeavesNothing(string killAt)
    {
        await KilledUpAsync(killAt);

        await LabCluster.DownAsync(TestLabs.Second);

        Assert.Empty(Leftovers.Find(TestLabs.Second));
        Assert.DoesNotContain(Process.GetProcesses(), IsOfSecondLab);
    }

    [Fact]
    public async Task Up_AfterUpWasKilled_CleansAndBuilds()
    {
        await KilledUpAsync("starting h2");

        var second = await LabCluster.UpAsync(TestLabs.Second, new LabOptions(WithAgents: false));
        try
        {
            Assert.All(await second.StatusAsync(), h => Assert.True(h.Etcd));
        }
        finally
        {
            await second.DownAsync();
        }
    }

    private async Task KilledUpAsync(string killAt)
    {
        var start = new ProcessStartInfo(lab.Cluster.Programs.Cli, ["lab", "up", "--no-agents", "--name", TestLabs.Second.Value])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        };
        using var up = Process.Start(start)!;
        while (await up.StandardError.ReadLineAsync() is { } said && !said.Contains(killAt, StringComparison.Ordinal))
        {
        }
        up.Kill();
        await up.WaitForExitAsync();
    }

    private static bool IsOfSecondLab(Process process) =>
        Linux.Processes.ProcessTable.ArgumentsOf(process.Id)?.Any(a => a.Contains(TestLabs.Second.StateDirectory, StringComparison.Ordinal)
            || a.Contains(TestLabs.Second.NamespacePrefix, StringComparison.Ordinal)) == true;
}

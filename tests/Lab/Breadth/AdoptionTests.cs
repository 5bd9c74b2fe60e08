using Pollux.Lab.Hosts;
using Pollux.Lab.Torture;
using Pollux.Linux.Processes;

namespace Pollux.Lab.Tests.Breadth;

/// <summary>A guest whose keeper died: the next keeper takes charge of it as soon as its host can.</summary>
[Collection(BreadthTests.Name)]
public sealed class AdoptionTests(BreadthLab breadth)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public Task KeeperThatDiesWhileItsHostHasNoBridge_IsSucceededOnceItHasOne() => breadth.WithAsync(breadth.Redis, async lab =>
    {
        await lab.WholeAsync();
        await lab.Vm.UnprotectAsync();
        await lab.Vm.UntilAsync(v => v.State == "running", "running alone", Patience);
        var host = lab.Cluster[(await lab.Vm.ShowAsync()).Role!.Primary.Host.Value];
        await Polling.UntilAsync(() => lab.Cluster.Hosts.Sum(h => h.FindKeepers().Count) == 1, Patience, () => "the standby goes on");
        var qemu = Assert.Single(host.FindQemus());

        await IpAsync("set", "br0", "down");
        await IpAsync("set", "br0", "name", "br0-away");
        Assert.True(ProcessTable.TrySignal(Assert.Single(host.FindKeepers()), ProcessTable.Kill));
        var waits = await lab.Vm.UntilAsync(v => v.Note.Contains("there is no bridge 'br0'", StringComparison.Ordinal), "said to wait for its bridge", Patience);
        Assert.Equal(host.Name, waits.Host);
        await IpAsync("set", "br0-away", "name", "br0");
        await IpAsync("set", "br0", "up");

        await lab.Vm.UntilAsync(v => v is { State: "running", Note: var note } && !note.Contains("bridge", StringComparison.Ordinal), "running", Patience);
        Assert.Equal(qemu, Assert.Single(host.FindQemus()));
        await (await lab.LoadAsync(1)).DisposeAsync();

        async Task IpAsync(params string[] arguments) =>
            (await lab.Cluster.ExecAsync(host.Name.Value, ["ip", "link", .. arguments])).Checked("ip link");
    });
}

using Pollux.Agent.Keepers;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Configuration;
using Pollux.Cluster.Keepers;
using Pollux.Core;

namespace Pollux.Unit.Tests.Agent.Keepers;

/// <summary>With a program for a keeper that never takes its VM's directory, as a real one has not for its first second on a crowded host.</summary>
public sealed class LocalVmsTests : IDisposable
{
    private static readonly VmName Redis = VmName.Create("redis");
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private readonly string _directory = Directory.CreateTempSubdirectory("pollux-localvms-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task KeeperThatHasNotTakenItsDirectoryYet_Lives_UntilItsProcessEnds()
    {
        var vms = new LocalVms(AgentWith(keeper: "touch \"$(dirname \"$2\")/begun\"; for i in $(seq 500); do [ -e \"$(dirname \"$2\")/go\" ] && break; sleep 0.02; done; echo 'now error: no memory'"));
        using var patience = new CancellationTokenSource(Patience);
        var starting = vms.StartAsync(KeeperOf(attempt: 7), patience.Token);
        try
        {
            await UntilAsync(() => File.Exists(InVm("begun")));
            var begins = await vms.LookAsync(Redis, patience.Token);
            Assert.Equal((true, null, 7), (begins.KeeperLives, begins.Keeper, begins.Attempt));
        }
        finally
        {
            await File.WriteAllTextAsync(InVm("go"), "");
            await starting;
        }
        var ended = await vms.LookAsync(Redis, patience.Token);
        Assert.Equal((false, "no memory"), (ended.KeeperLives, ended.LastWords));
    }

    [Fact]
    public async Task NumberOfADeadKeeper_GivenToAnotherProcess_IsNotTakenForIt()
    {
        var vms = new LocalVms(AgentWith(keeper: "exit 1"));
        await vms.StartAsync(KeeperOf(attempt: 7), CancellationToken.None);
        await File.WriteAllTextAsync(InVm("keeper.pid"), Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture));

        Assert.False((await vms.LookAsync(Redis, CancellationToken.None)).KeeperLives);
    }

    private string InVm(string file) => Path.Combine(_directory, "vms", "redis", file);

    private AgentConfig AgentWith(string keeper)
    {
        var program = Path.Combine(_directory, "keeper");
        File.WriteAllText(program, $"#!/bin/sh\n{keeper}\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return new AgentConfig(HostId.Create("h1"), "127.0.0.1", 7080, [], [], new TlsFiles("", "", ""), "", null, program, null, _directory, _directory, 5);
    }

    private KeeperConfig KeeperOf(long attempt) => new(
        Redis, HostId.Create("h1"), KeeperStart.Standby, "", Path.Combine(_directory, "vms", "redis"), _directory, null, "", "tcg", null, "127.0.0.1", [], new TlsFiles("", "", ""), 1, attempt);

    private static async Task UntilAsync(Func<bool> holds)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (!holds())
        {
            await Task.Delay(10, patience.Token);
        }
    }
}

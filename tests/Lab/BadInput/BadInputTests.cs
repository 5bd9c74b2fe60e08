using Pollux.Cluster.Api;
using Pollux.Lab.Hosts;
using Pollux.Lab.Tests.FaultRounds;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.BadInput;

/// <summary>
/// What people get wrong: each is refused in one sentence with the next step and a non-zero exit code, and afterwards the cluster has the VM
/// that it had before, protected, and nothing more.
/// </summary>
[Collection(ProtectedLabTests.Name)]
public sealed class BadInputTests(ProtectedLab lab, ITestOutputHelper output) : IAsyncLifetime, IDisposable
{
    private const string Refused = "refused";

    /// <summary>On a starved machine the pair may not be whole just when it is asked; a wrong answer of a whole pair counts at once.</summary>
    private const int Attempts = 3;
    private static readonly TimeSpan Tidy = TimeSpan.FromSeconds(60);
    private readonly string _directory = Directory.CreateTempSubdirectory("pollux-bad-input").FullName;

    private string Guest => Path.Combine(lab.Cluster.Programs.Root, ".cache/guests/redis");

    public Task InitializeAsync() => lab.WholeAsync();

    public async Task DisposeAsync() => await NothingLeftAsync(lab);

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>The spec's own errors are in the unit tests of the reader; these need a host to be found out.</summary>
    [Theory]
    [InlineData("malformed", "memory", "512", "Mi of RAM", ":3: '512Mi of RAM' is no size; write it as")]
    [InlineData("no-kernel", "kernel", "/nowhere", "/vmlinuz", "the kernel /nowhere/vmlinuz of no-kernel does not exist on h1; copy it there")]
    [InlineData("no-bridge", "bridge", "br", "7", "h1 has no bridge br7; make it: ip link add br7 type bridge")]
    [InlineData("too-big", "memory", "900", "Gi", "too-big needs 921600 MiB of memory, and /dev/shm on h1 has")]
    [InlineData("redis", "cpus", "", "1", "there is a VM named redis already; choose another name")]
    public async Task Define_OfAnImpossibleVm_IsRefused(string name, string member, string value, string rest, string said)
    {
        await RefusedAsync(said, "vm", "define", Write(name, member, value + rest));
    }

    [Theory]
    [InlineData("vm protect redis --on h9", "redis is protected already, by h")]
    [InlineData("vm delete redis", "redis is protected; stop it first: pollux vm stop redis")]
    [InlineData("vm set redis --detection 10", "detection is 10 ms; choose 50 to 5000 ms")]
    [InlineData("vm set redis --detection 50", "detection would be 50 ms with a heartbeat every 20 ms; allow for at least three heartbeats: 60 ms")]
    [InlineData("vm show nobody", "there is no VM named nobody; see 'pollux vm list'")]
    [InlineData("vm takeover nobody", "there is no VM named nobody; see 'pollux vm list'")]
    [InlineData("vm start Bad_Name", "'Bad_Name' is not a VM name; use 1 to 40 of")]
    [InlineData("vm define /nowhere.yaml", "there is no file /nowhere.yaml; name the VM's spec")]
    [InlineData("vm list --socket /nowhere.sock", "no agent listens on /nowhere.sock; ask on a host of the cluster")]
    public async Task Command_ThatCannotBe_IsRefused(string line, string said)
    {
        for (var attempt = 1; ; attempt++)
        {
            var before = await lab.WholeAsync();
            var result = await PolluxAsync(line.Split(' '));
            if (attempt == Attempts || IsRefused(result, said) || await lab.Vm.ShowAsync() is { State: "protected" } after && after.Role == before.Role)
            {
                AssertRefused(result, said);
                return;
            }
        }
    }

    [Theory]
    [InlineData("--on", "h9", "the host h9 is not alive; see 'pollux host list'")]
    [InlineData("--standby", "h9", "the host h9 is not alive; see 'pollux host list'")]
    [InlineData("--standby", "h1", "h1 cannot be home and standby of elsewhere; choose two hosts")]
    public async Task Define_OnAWrongHost_IsRefused(string option, string host, string said) =>
        await RefusedAsync(said, "vm", "define", Write("elsewhere"), option, host);

    [Fact]
    public async Task Start_OfAVmThatQemuRefuses_SaysQemusWordsAndLeavesItStopped()
    {
        await DoneAsync("vm", "define", Write(Refused, "cpu", "nosuchcpu"));
        try
        {
            await RefusedAsync("refused does not start on h1: QEMU ended: qemu-system-x86_64: unable to find CPU model 'nosuchcpu'", "vm", "start", Refused);

            using var agent = AgentClient.Local(lab.Cluster["h1"].AgentSocket);
            var after = await agent.VmAsync(Core.VmName.Create(Refused), TimeSpan.FromSeconds(10), CancellationToken.None);
            Assert.Equal("stopped", after.State);
            Assert.False(after.Record.Run);
        }
        finally
        {
            await DoneAsync("vm", "delete", Refused);
        }
    }

    [Fact]
    public async Task Protection_OfAVmThatIsNotToHaveIt_IsRefused()
    {
        await DoneAsync("vm", "define", Write("plain", "availability", "none"));
        try
        {
            await RefusedAsync("the spec of plain does not ask for fault tolerance; define it with 'availability: faultTolerant'", "vm", "protect", "plain");
            await DoneAsync("vm", "start", "plain");

            await RefusedAsync("the spec of plain does not ask for fault tolerance", "vm", "protect", "plain");
            await RefusedAsync("plain has no standby that could take over; protect it first", "vm", "takeover", "plain");
            await RefusedAsync("plain is running; stop it first: pollux vm stop plain", "vm", "delete", "plain");
        }
        finally
        {
            await DoneAsync("vm", "stop", "plain", "--force");
            await DoneAsync("vm", "delete", "plain");
        }
    }

    /// <summary>A device whose state QEMU cannot save: said before a standby is looked for, and no wish for one stays behind.</summary>
    [Fact]
    public async Task Protect_OfAGuestThatQemuCannotCheckpoint_IsRefusedInQemusWords()
    {
        await using var changed = await OtherQemu.OnAsync(lab.Cluster, "h1", _directory, "-blockdev null-co,node-name=n,read-zeroes=on -device nvme,serial=n,drive=n");
        await DoneAsync("vm", "define", Write("immovable"));
        try
        {
            await DoneAsync("vm", "start", "immovable");

            await RefusedAsync("cannot checkpoint this guest: non-migratable device: 0000:00:02.0/nvme; take that device out", "vm", "protect", "immovable");

            using var agent = AgentClient.Local(lab.Cluster["h1"].AgentSocket);
            var after = await agent.VmAsync(Core.VmName.Create("immovable"), TimeSpan.FromSeconds(10), CancellationToken.None);
            Assert.Equal(("running", false, null), (after.State, after.Record.Protect, after.Assignment));
        }
        finally
        {
            await DoneAsync("vm", "stop", "immovable", "--force");
            await DoneAsync("vm", "delete", "immovable");
        }
    }

    /// <summary>The cluster runs its one VM, protected, with one keeper and one QEMU on each side and no other.</summary>
    internal static async Task NothingLeftAsync(ProtectedLab lab)
    {
        var whole = await lab.WholeAsync();
        using var agent = AgentClient.Local(lab.Cluster["h1"].AgentSocket);
        Assert.Equal([lab.Vm.Name], (await agent.VmsAsync(TimeSpan.FromSeconds(10), CancellationToken.None)).Select(v => v.Name));
        Assert.Equal("protected", whole.State);
        foreach (var host in lab.Cluster.Hosts)
        {
            await Polling.UntilAsync(
                () => host.FindKeepers().Count == 1 && host.FindQemus().Count == 1 && Directory.GetDirectories(VmsOf(host)).Length == 1, Tidy,
                () => $"{host.Name} runs {host.FindKeepers().Count} keepers and {host.FindQemus().Count} QEMUs, and has {string.Join(' ', Directory.GetDirectories(VmsOf(host)))}");
        }
    }

    private static string VmsOf(LabHost host) => Path.Combine(Path.GetDirectoryName(host.AgentSocket)!, "vms");

    /// <summary>A spec that is right but for one member.</summary>
    private string Write(string name, string? member = null, string? value = null)
    {
        var members = new Dictionary<string, string>
        {
            ["name"] = name, ["cpus"] = "1", ["memory"] = "64Mi", ["kernel"] = $"{Guest}/vmlinuz", ["initrd"] = $"{Guest}/initrd.gz", ["availability"] = "faultTolerant",
        };
        var bridge = "br0";
        if (member == "bridge")
        {
            bridge = value!;
        }
        else if (member is not null)
        {
            members[member] = value!;
        }
        var file = Path.Combine(_directory, $"{name}.yaml");
        File.WriteAllLines(file, [.. members.Select(m => $"{m.Key}: {m.Value}"), "nics:", $"  - bridge: {bridge}"]);
        return file;
    }

    private async Task RefusedAsync(string said, params string[] words) => AssertRefused(await PolluxAsync(words), said);

    private static bool IsRefused(ToolResult result, string said) => result.ExitCode == 1 && result.Errors.Contains(said, StringComparison.Ordinal);

    private static void AssertRefused(ToolResult result, string said)
    {
        Assert.Equal(1, result.ExitCode);
        var lines = result.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(l => !l.StartsWith('…')).ToList();
        var line = Assert.Single(lines);
        Assert.StartsWith("error: ", line, StringComparison.Ordinal);
        Assert.Contains(said, line, StringComparison.Ordinal);
    }

    private async Task DoneAsync(params string[] words) => (await PolluxAsync(words)).Checked($"pollux {string.Join(' ', words)}");

    /// <summary>The command line as a person has it on h1.</summary>
    private async Task<ToolResult> PolluxAsync(string[] words)
    {
        var result = await Tool.RunAsync(lab.Cluster.Programs.Cli, words.Contains("--socket") ? words : [.. words, "--socket", lab.Cluster["h1"].AgentSocket]);
        output.WriteLine($"pollux {string.Join(' ', words)} [{result.ExitCode}]\n{result.Errors}");
        return result;
    }
}

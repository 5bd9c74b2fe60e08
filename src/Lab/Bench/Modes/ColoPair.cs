using System.Diagnostics;
using System.Text.Json.Nodes;
using Pollux.Core;
using Pollux.Lab.Hosts;
using Pollux.Linux.Processes;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Bench.Modes;

/// <summary>
/// Two stock QEMUs in COLO on h1 and h2 of a lab, as QEMU's docs/COLO-FT.txt describes them, but without disks, since our guests have none: both run; what comes
/// in is mirrored to the secondary; what both send is compared, and only what is equal, or committed by a checkpoint, goes out.
///
/// The filters come after the boot: before the secondary runs, the comparison would hold the guest's every frame. The machine must be
/// <c>pc</c>: on a q35 whose guest has set up its PCIe window, 7.2's secondary dies at the first checkpoint
/// (memory_region_add_subregion_common: !subregion->container).
/// </summary>
internal sealed class ColoPair : IAsyncDisposable
{
    private const string Tap = "colo0";
    private const string Directory = "log/colo";
    private const int QemusDefaultDelayMs = 20_000;
    private const string Replication = "10.77.0.0/24";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(50);
    private readonly LabCluster _lab;
    private readonly VmSpec _spec;
    private readonly Accelerator _accelerator;
    private readonly QemuVersion _version;
    private QmpSession? _primary;
    private QmpSession? _secondary;

    private ColoPair(LabCluster lab, VmSpec spec, Accelerator accelerator, QemuVersion version) => (_lab, _spec, _accelerator, _version) = (lab, spec, accelerator, version);

    public PauseRecorder Pauses { get; private set; } = null!;

    /// <summary>The primary's console and RAM as this process sees them.</summary>
    public string SerialLog => Path.Combine(Outside("h1"), "serial.log");

    public string RamFile => $"/proc/{_lab["h1"].InitProcess()}/root/dev/shm/colo.ram";

    private bool HasNic => _spec.Nics.Count > 0;

    /// <summary>Boots the guest on h1 and lets the secondary wait on h2; the comparison is not there yet.</summary>
    public static async Task<ColoPair> StartAsync(LabCluster lab, VmSpec spec, Accelerator accelerator, QemuVersion version, CancellationToken cancellation)
    {
        var pair = new ColoPair(lab, spec, accelerator, version);
        try
        {
            if (pair.HasNic)
            {
                await pair.AddTapAsync("h1", $"link set {Tap} master {spec.Nics[0].Bridge}", cancellation).ConfigureAwait(false);
                // On no bridge: what the secondary says is heard by the comparison only.
                await pair.AddTapAsync("h2", null, cancellation).ConfigureAwait(false);
            }
            pair._primary = await pair.StartQemuAsync("h1", pair.HasNic ? PrimarysSockets : [], cancellation).ConfigureAwait(false);
            string[] waits = ["-incoming", "tcp:10.77.0.2:9998"];
            pair._secondary = await pair.StartQemuAsync("h2", pair.HasNic ? [.. SecondarysFilters, .. waits] : waits, cancellation).ConfigureAwait(false);
            pair.Pauses = new PauseRecorder(pair._primary);
            return pair;
        }
        catch
        {
            await pair.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Begins COLO; returns when both guests run.</summary>
    /// <exception cref="PolluxException">They do not.</exception>
    public async Task ProtectAsync(CancellationToken cancellation)
    {
        if (HasNic)
        {
            foreach (var (type, id, properties) in PrimarysFilters())
            {
                properties["qom-type"] = type;
                properties["id"] = id;
                await _primary!.ExecuteAsync("object-add", properties, cancellation).ConfigureAwait(false);
            }
        }
        var colo = new JsonArray { new JsonObject { ["capability"] = "x-colo", ["state"] = true } };
        await _secondary!.ExecuteAsync("migrate-set-capabilities", new JsonObject { ["capabilities"] = colo.DeepClone() }, cancellation).ConfigureAwait(false);
        await _primary!.ExecuteAsync("migrate-set-capabilities", new JsonObject { ["capabilities"] = colo }, cancellation).ConfigureAwait(false);
        await SetAsync(new Mode.Colo(null), cancellation).ConfigureAwait(false);
        await _primary.ExecuteAsync("migrate-set-parameters", new JsonObject { ["max-bandwidth"] = 100_000_000_000 }, cancellation).ConfigureAwait(false);
        await _primary.ExecuteAsync("migrate", new JsonObject { ["uri"] = "tcp:10.77.0.2:9998" }, cancellation).ConfigureAwait(false);
        await UntilBothRunAsync(cancellation).ConfigureAwait(false);
    }

    public async Task SetAsync(Mode.Colo mode, CancellationToken cancellation)
    {
        foreach (var host in (string[])["h1", "h2"])
        {
            await Tool.IpAsync(_lab.Name.NamespaceOf(_lab[host].Member), $"route change {Replication} dev mgmt scope link {(mode.DelayedAcks ? "" : "quickack 1")}", cancellation).ConfigureAwait(false);
        }
        await _primary!.ExecuteAsync(
            "migrate-set-parameters", new JsonObject { ["x-checkpoint-delay"] = mode.DelayMs ?? QemusDefaultDelayMs }, cancellation).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var session in new[] { _primary, _secondary })
        {
            if (session is not null)
            {
                await session.DisposeAsync().ConfigureAwait(false);
            }
        }
        foreach (var host in (string[])["h1", "h2"])
        {
            await RemoveAsync(host).ConfigureAwait(false);
        }
    }

    private async Task RemoveAsync(string host)
    {
        IReadOnlyList<int> Left() => [.. _lab[host].FindQemus().Where(p => ProcessTable.ArgumentsOf(p)?.Contains("colo,debug-threads=on") == true)];
        foreach (var process in Left())
        {
            ProcessTable.TrySignal(process, ProcessTable.Kill);
        }
        await Polling.UntilAsync(() => Left().Count == 0, Patience, () => $"the QEMU of COLO on {host} does not end").ConfigureAwait(false);
        var space = _lab.Name.NamespaceOf(_lab[host].Member);
        await Tool.RunAsync("ip", ["-n", space, "link", "del", Tap]).ConfigureAwait(false);
        await Tool.IpAsync(space, $"route change {Replication} dev mgmt scope link").ConfigureAwait(false);
        File.Delete($"/proc/{_lab[host].InitProcess()}/root/dev/shm/colo.ram");
    }

    private async Task UntilBothRunAsync(CancellationToken cancellation)
    {
        var begin = Stopwatch.GetTimestamp();
        while (true)
        {
            var mode = await _primary!.ExecuteAsync("query-colo-status", null, cancellation).ConfigureAwait(false);
            var first = await _primary.ExecuteAsync("query-status", null, cancellation).ConfigureAwait(false);
            var second = await _secondary!.ExecuteAsync("query-status", null, cancellation).ConfigureAwait(false);
            if (mode.GetProperty("mode").GetString() == "primary" && first.GetProperty("running").GetBoolean() && second.GetProperty("running").GetBoolean())
            {
                return;
            }
            if (Stopwatch.GetElapsedTime(begin) > Patience)
            {
                throw new PolluxException($"the COLO pair does not run after {Patience.TotalSeconds:0} s: {first}, {second}", $"see {Outside("h1")} and {Outside("h2")}");
            }
            await Task.Delay(Pace, cancellation).ConfigureAwait(false);
        }
    }

    private async Task AddTapAsync(string host, string? more, CancellationToken cancellation)
    {
        var enter = await _lab.ExecAsync(host, ["ip", "tuntap", "add", "dev", Tap, "mode", "tap", "vnet_hdr"], cancellation).ConfigureAwait(false);
        enter.Checked($"making a TAP on {host}");
        await Tool.IpAsync(_lab.Name.NamespaceOf(_lab[host].Member), $"{more}\nlink set {Tap} up", cancellation).ConfigureAwait(false);
    }

    private async Task<QmpSession> StartQemuAsync(string host, IReadOnlyList<string> more, CancellationToken cancellation)
    {
        System.IO.Directory.CreateDirectory(Outside(host));
        const string inside = $"/run/host/{Directory}";
        File.Delete(Path.Combine(Outside(host), "qmp.sock"));
        var ramBytes = QemuCommandLine.RamBytes(_spec, _version, _accelerator);
        List<string> qemu =
        [
            "qemu-system-x86_64", "-name", "colo,debug-threads=on", "-machine", $"{QemuCommandLine.MachineOf(_spec, _version)},memory-backend=ram0",
            "-accel", _accelerator == Accelerator.Kvm ? "kvm" : "tcg", "-cpu", _spec.Cpu, "-smp", $"{_spec.Cpus}",
            "-object", $"memory-backend-file,id=ram0,size={ramBytes},share=on,mem-path=/dev/shm/colo.ram", "-m", $"{ramBytes >> 10}k",
            "-no-user-config", "-nodefaults", "-nographic", "-monitor", "none", "-serial", $"file:{inside}/serial.log",
            "-qmp", $"unix:{inside}/qmp.sock,server=on,wait=off", "-kernel", _spec.Kernel, "-append", _spec.CommandLine,
        ];
        if (_spec.Initrd is { } initrd)
        {
            qemu.AddRange("-initrd", initrd);
        }
        if (HasNic)
        {
            qemu.AddRange("-netdev", $"tap,id=n0,ifname={Tap},script=no,downscript=no,vhost=off", "-device", $"{_spec.Nics[0].Model},netdev=n0,mac={_spec.Nics[0].Mac}");
        }
        qemu.AddRange(more);
        string[] shim = _accelerator == Accelerator.Tcg && _version.NeedsTcgShim ? ["env", $"LD_PRELOAD={_lab.Programs.TcgShim}"] : [];
        using var process = Tool.Start(_lab.EnterCommand(host, ["sh", "-c", $"exec setsid \"$@\" > {inside}/qemu.log 2>&1 < /dev/null", "sh", .. shim, .. qemu]));
        return await QmpSession.ConnectAsync(Path.Combine(Outside(host), "qmp.sock"), TimeSpan.FromSeconds(10), cancellation).ConfigureAwait(false);
    }

    private string Outside(string host) => Path.Combine(_lab.Name.DirectoryOf(_lab[host].Member), Directory);

    private static IReadOnlyList<string> PrimarysSockets =>
    [
        "-chardev", "socket,id=mirror0,host=10.77.0.1,port=9003,server=on,wait=off",
        "-chardev", "socket,id=compare1,host=10.77.0.1,port=9004,server=on,wait=off",
        "-chardev", "socket,id=compare0,host=127.0.0.1,port=9001,server=on,wait=off",
        "-chardev", "socket,id=compare0-0,host=127.0.0.1,port=9001",
        "-chardev", "socket,id=compare_out,host=127.0.0.1,port=9005,server=on,wait=off",
        "-chardev", "socket,id=compare_out0,host=127.0.0.1,port=9005",
    ];

    private static (string Type, string Id, JsonObject Properties)[] PrimarysFilters() =>
    [
        ("iothread", "iothread1", []),
        ("filter-mirror", "m0", new JsonObject { ["netdev"] = "n0", ["queue"] = "tx", ["outdev"] = "mirror0", ["vnet_hdr_support"] = true }),
        ("filter-redirector", "redire0", new JsonObject { ["netdev"] = "n0", ["queue"] = "rx", ["indev"] = "compare_out", ["vnet_hdr_support"] = true }),
        ("filter-redirector", "redire1", new JsonObject { ["netdev"] = "n0", ["queue"] = "rx", ["outdev"] = "compare0", ["vnet_hdr_support"] = true }),
        ("colo-compare", "comp0", new JsonObject
        {
            ["primary_in"] = "compare0-0", ["secondary_in"] = "compare1", ["outdev"] = "compare_out0", ["iothread"] = "iothread1", ["vnet_hdr_support"] = true,
        }),
    ];

    private static IReadOnlyList<string> SecondarysFilters =>
    [
        "-chardev", "socket,id=red0,host=10.77.0.1,port=9003,reconnect=1",
        "-chardev", "socket,id=red1,host=10.77.0.1,port=9004,reconnect=1",
        "-object", "filter-redirector,id=f1,netdev=n0,queue=tx,indev=red0,vnet_hdr_support=on",
        "-object", "filter-redirector,id=f2,netdev=n0,queue=rx,outdev=red1,vnet_hdr_support=on",
        "-object", "filter-rewriter,id=rew0,netdev=n0,queue=all,vnet_hdr_support=on",
    ];
}

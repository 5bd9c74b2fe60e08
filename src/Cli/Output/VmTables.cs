using System.Globalization;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Spectre.Console;

namespace Pollux.Cli.Output;

/// <summary>VMs for people.</summary>
internal static class VmTables
{
    internal static void Write(Invocation invocation, IReadOnlyList<VmDocument> vms) =>
        invocation.Result(vms, ApiJson.Default.IReadOnlyListVmDocument, WriteList);

    internal static void Write(Invocation invocation, VmDocument vm) => invocation.Result(vm, ApiJson.Default.VmDocument, WriteOne);

    private static void WriteList(IAnsiConsole console, IReadOnlyList<VmDocument> vms)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("name", "state", "host", "standby", "checkpoints/s", "pause p50", "note");
        foreach (var vm in vms)
        {
            var checkpoints = PrimaryOf(vm)?.Checkpoints;
            table.AddRow(
                vm.Name.Value, vm.State, vm.Host.Value, vm.Standby?.Value ?? "-",
                checkpoints is { Count: > 0 } ? Number(checkpoints.PerSecond) : "-", checkpoints is { Count: > 0 } ? $"{Number(checkpoints.PauseMs.P50)} ms" : "-",
                Markup.Escape(vm.Note));
        }
        console.Write(table);
    }

    private static void WriteOne(IAnsiConsole console, VmDocument vm)
    {
        var grid = new Grid().AddColumn().AddColumn();
        void Row(string name, string value) => grid.AddRow(name, Markup.Escape(value));
        Row("name", vm.Name.Value);
        Row("state", vm.Note.Length == 0 ? vm.State : $"{vm.State} ({vm.Note})");
        Row("runs on", vm.State == "stopped" ? $"- (home {vm.Host})" : vm.Host.Value);
        Row("standby", vm.Standby?.Value ?? "-");
        if (PrimaryOf(vm) is { } keeper)
        {
            Row("QEMU", $"{keeper.QemuVersion} ({keeper.Accelerator}), process {keeper.QemuPid}");
            WriteProtection(Row, keeper);
            if (keeper.LastTakeover is { } takeover)
            {
                var at = DateTimeOffset.FromUnixTimeMilliseconds((long)takeover.GateOpenUnixMs);
                Row("last takeover", string.Create(CultureInfo.InvariantCulture, $"{at:yyyy-MM-dd HH:mm:ss} UTC: {takeover.Reason}"));
                Row("", $"detected {Number(takeover.DetectMs)} ms, arbitrated {Number(takeover.ArbitrateMs)} ms, resumed {Number(takeover.ResumeMs)} ms");
            }
        }
        foreach (var side in vm.Keepers.Where(k => k.Error is not null))
        {
            Row($"keeper on {side.Host}", side.Error!);
        }
        console.Write(grid);
    }

    private static void WriteProtection(Action<string, string> row, KeeperStatus keeper)
    {
        var (checkpoints, buffers, network, settings) = (keeper.Checkpoints, keeper.Buffers, keeper.Network, keeper.Settings);
        if (checkpoints.Count > 0)
        {
            row("checkpoints", $"{checkpoints.Count}, {Number(checkpoints.PerSecond)}/s, committed {checkpoints.Committed}");
            row("pause", $"{Number(checkpoints.PauseMs.P50)} ms median, {Number(checkpoints.PauseMs.P99)} ms p99, {Number(checkpoints.PauseMs.Max)} ms most");
            row("pages", $"{Number(checkpoints.Pages.P50)} median, {Number(checkpoints.Pages.P99)} p99");
            row("buffers", $"{buffers.UsedBytes >> 20} MiB used, {buffers.AllocatedBytes >> 20} allocated, {buffers.CeilingBytes >> 20} at most");
        }
        row("frames", $"{network.EgressReleasedFrames} out, {network.EgressHeldFrames} held, {network.IngressFrames} in, {network.ReplayedFrames} replayed, {network.RepeatedFrames} repeated");
        if (keeper.Shipping is { CapturedBytes: > 0 } shipping)
        {
            row("link", $"{shipping.ShippedBytes >> 20} MiB sent of {shipping.CapturedBytes >> 20} captured ({Number(100.0 * shipping.ShippedBytes / shipping.CapturedBytes)} %)");
            if (shipping.TableBytes > 0)
            {
                row("", $"pages: {shipping.UnchangedPages} unchanged, {shipping.ZeroPages} zero, {shipping.PartPages} in part, {shipping.WholePages} whole; table {Number(shipping.TableBytes / (double)(1 << 20))} MiB");
            }
        }
        if (keeper.Scrub is { } scrub)
        {
            row("scrub", $"{scrub.Pages} pages compared with the standby's, whole rounds over the RAM: {scrub.Rounds}");
            if (scrub is { LastAlarm: { } alarm, LastAlarmUnixMs: { } unixMs })
            {
                var at = DateTimeOffset.FromUnixTimeMilliseconds((long)unixMs);
                row("ALARM", string.Create(CultureInfo.InvariantCulture, $"{at:yyyy-MM-dd HH:mm:ss} UTC: {alarm}; that standby was thrown away ({scrub.Alarms} so far)"));
            }
        }
        row("settings", $"{settings.Trigger}, {settings.Transmission}, interval {settings.IntervalMs} ms, floor {settings.FloorMs} ms, detection {settings.DetectionMs} ms");
    }

    private static KeeperStatus? PrimaryOf(VmDocument vm) => vm.Keepers.FirstOrDefault(k => k.Host == vm.Host)?.Status;

    private static string Number(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}

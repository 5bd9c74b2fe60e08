using System.Globalization;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Spectre.Console;

namespace Pollux.Cli.Output;

/// <summary>VMs for people.</summary>
internal static class VmTables
{
    /// <summary>Columns of a terminal that the whole list needs without being broken into pieces.</summary>
    private const int WideEnough = 110;

    internal static void Write(Invocation invocation, IReadOnlyList<VmDocument> vms) =>
        invocation.Result(vms, ApiJson.Default.IReadOnlyListVmDocument, WriteList);

    internal static void Write(Invocation invocation, VmDocument vm) => invocation.Result(vm, ApiJson.Default.VmDocument, WriteOne);

    private static void WriteList(IAnsiConsole console, IReadOnlyList<VmDocument> vms)
    {
        // What does not fit is in `vm show`.
        var wide = console.Profile.Width >= WideEnough;
        var table = new Table().Border(TableBorder.Simple).AddColumns("name", "state", "host", "standby");
        table.AddColumns(wide ? ["checkpoints/s", "pause p50", "p99", "lag", "link", "note"] : ["checkpoints/s", "pause", "note"]);
        foreach (var vm in vms)
        {
            string[] figures = PrimaryOf(vm) is { } keeper ? Figures(keeper, wide) : [.. Enumerable.Repeat("-", wide ? 5 : 2)];
            table.AddRow([vm.Name.Value, vm.State, vm.State == "stopped" ? "-" : vm.Host.Value, vm.Standby?.Value ?? "-", .. figures, Markup.Escape(vm.Note)]);
        }
        console.Write(table);
        if (vms.Any(v => PrimaryOf(v)?.Checkpoints is { Count: > 0 }))
        {
            console.WriteLine($"rates and pauses{(wide ? "" : " (median)")} are of the last {CheckpointStatus.WindowSeconds} s");
        }
    }

    private static string[] Figures(KeeperStatus keeper, bool wide)
    {
        var some = keeper.Checkpoints is { Count: > 0 } checkpoints ? checkpoints : null;
        string Of(Func<CheckpointStatus, string> figure) => some is null ? "-" : figure(some);
        string[] narrow = [Of(c => Number(c.PerSecond)), Of(c => $"{Number(c.PauseMs.P50)} ms")];
        return wide
            ? [.. narrow, Of(c => $"{Number(c.PauseMs.P99)} ms"), Of(c => $"{Whole(c.LagMs)} ms"), keeper.Shipping is { } link ? PerSecond(link.Link?.SentBytesPerSecond ?? link.ShippedBytesPerSecond) : "-"]
            : narrow;
    }

    private static void WriteOne(IAnsiConsole console, VmDocument vm)
    {
        var grid = new Grid().AddColumn().AddColumn();
        void Row(string name, string value) => grid.AddRow(name, Markup.Escape(value));
        Row("name", vm.Name.Value);
        Row("state", vm.Note.Length == 0 ? vm.State : $"{vm.State} ({vm.Note})");
        Row("runs on", vm.State == "stopped" ? $"- (home {vm.Host})" : vm.Host.Value);
        Row("standby", vm.Standby?.Value ?? "-");
        if (vm is { State: "stopped", Record.Protect: true })
        {
            Row("protection", "asked for: it gets a standby when it runs");
        }
        if (PrimaryOf(vm) is { } keeper)
        {
            Row("QEMU", $"{keeper.QemuVersion} ({keeper.Accelerator}), process {keeper.QemuPid}");
            WriteProtection(Row, keeper);
            if (keeper.Migration is { } migration)
            {
                Row(migration.State == MigrationState.Moving ? "moving" : "last move", MigrationWords.Of(migration));
            }
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
        var window = $"in the last {CheckpointStatus.WindowSeconds} s";
        if (checkpoints.Count > 0)
        {
            row("checkpoints", $"{Number(checkpoints.PerSecond)}/s {window}; {checkpoints.Count} in this protection, {checkpoints.Committed} committed");
            row("lag", $"a takeover now would go back {Whole(checkpoints.LagMs)} ms, which nobody outside has seen; {Size(checkpoints.UncommittedBytes)} of pages are on the way");
            row("pause", $"{Number(checkpoints.PauseMs.P50)} ms median, {Number(checkpoints.PauseMs.P99)} ms p99, {Number(checkpoints.PauseMs.Max)} ms most, {window}");
            row("pages", $"{Number(checkpoints.Pages.P50)} dirty in a checkpoint (median), {Number(checkpoints.Pages.P99)} (p99), {window}");
            row("buffer", $"{Size(buffers.UsedBytes)} used of {Size(buffers.AllocatedBytes)}, which grows and shrinks up to {Size(buffers.CeilingBytes)}; {buffers.WaitedForSpace} waits for the link or for room");
        }
        row("frames", $"{network.EgressReleasedFrames} out, {network.EgressHeldFrames} held, {network.IngressFrames} in, {network.ReplayedFrames} replayed");
        if (keeper.Shipping is { CapturedBytes: > 0 } shipping)
        {
            row("link", $"{PerSecond(shipping.ShippedBytesPerSecond)} sent of {PerSecond(shipping.CapturedBytesPerSecond)} captured, {window}; in all {Size(shipping.ShippedBytes)} of {Size(shipping.CapturedBytes)} ({Number(100.0 * shipping.ShippedBytes / shipping.CapturedBytes)} %)");
            if (shipping.TableBytes > 0)
            {
                row("", $"pages: {shipping.UnchangedPages} unchanged, {shipping.ZeroPages} zero, {shipping.PartPages} in part, {shipping.WholePages} whole; table {Size(shipping.TableBytes)}");
            }
            if (shipping.Link is { } link)
            {
                WriteLink(row, link, settings.Compression, window);
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
        row("settings", $"{settings.Trigger}, {settings.Transmission}, interval {settings.IntervalMs} ms, floor {settings.FloorMs} ms, detection {settings.DetectionMs} ms, compression {settings.Compression ?? "auto"}");
    }

    private static void WriteLink(Action<string, string> row, LinkStatus link, string? mode, string window)
    {
        row("", link.CannotCompress is { } why
            ? $"never compressed: {why}"
            : $"compression {mode ?? "auto"}: memory is {(link.IsCompressing ? "" : "not ")}compressed now; compressed so far: {link.CompressedMemoryFrames} of {link.MemoryFrames} frames of memory, {link.CompressedDeviceFrames} of {link.DeviceFrames} of devices' state");
        row("", $"with devices' state {PerSecond(link.SentBytesPerSecond)} on the wire, {window}; in all {Size(link.SentBytes)} for {Size(link.Bytes)}; first copy {Size(link.FirstSentBytes)} for {Size(link.FirstBytes)}");
    }

    private static KeeperStatus? PrimaryOf(VmDocument vm) => vm.Keepers.FirstOrDefault(k => k.Host == vm.Host)?.Status;

    private static string Size(long bytes) => bytes < 10 << 20 ? $"{Number(Math.Round(bytes / 1048576.0, 1))} MiB" : $"{bytes >> 20} MiB";

    private static string PerSecond(double bytes) => $"{Number(Math.Round(bytes / 1e6, 2))} MB/s";

    private static string Whole(double value) => value.ToString("0", CultureInfo.InvariantCulture);

    private static string Number(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}

using System.Globalization;
using Pollux.Cli.Commands;
using Pollux.Lab.Bench;
using Spectre.Console;

namespace Pollux.Cli.Output;

/// <summary>What <c>pollux bench shipping</c> found.</summary>
internal static class ShippingTables
{
    internal static void Write(IAnsiConsole console, ShippingReport report)
    {
        BenchCommand.Head(console, report.Host, report.QemuVersion, report.Accelerator);
        WriteShipping(console, report.Rows);
        WriteCompression(console, report.Compression);
        console.WriteLine($"load after: {Number(report.LoadAfter)}");
    }

    private static void WriteShipping(IAnsiConsole console, IReadOnlyList<ShippingRow> rows)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns(
            "guest", "shipping", "captured", "shipped", "share", "with devices", "unchanged", "zero", "in part", "whole", "table", "requests/s", "checkpoints/s", "pause p50", "keeper ms/MiB");
        foreach (var row in rows)
        {
            var pages = row.UnchangedPages + row.ZeroPages + row.PartPages + row.WholePages;
            string Share(long count) => pages == 0 ? "" : $"{Number(Math.Round(100.0 * count / pages))} %";
            table.AddRow(
                row.Workload, row.Shipping, MiB(row.CapturedBytes), MiB(row.ShippedBytes), Percent(row.ShippedBytes, row.CapturedBytes), MiB(row.SentBytes),
                Share(row.UnchangedPages), Share(row.ZeroPages), Share(row.PartPages), Share(row.WholePages), pages == 0 ? "" : $"{Number(row.TableBytes / (double)(1 << 20))} MiB",
                Whole(row.RequestsPerSecond), Whole(row.CheckpointsPerSecond), $"{Number(row.PauseMsP50)} ms", Number(row.KeeperMsPerMiB));
        }
        console.Write(table);
    }

    private static void WriteCompression(IAnsiConsole console, IReadOnlyList<CompressionRow> rows)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns(
            "link", "compression", "protected after", "first copy", "sent", "epochs", "sent", "share", "memory compressed", "devices", "requests/s", "round trip p50", "p99", "pause p50",
            "keeper CPU, standby's, per MiB captured");
        foreach (var row in rows)
        {
            table.AddRow(
                row.Mbit is { } mbit ? $"{mbit} Mbit/s" : "unlimited", row.Compression, $"{Number(Math.Round(row.ProtectSeconds, 1))} s", MiB(row.FirstBytes), MiB(row.FirstSentBytes),
                MiB(row.Bytes), MiB(row.SentBytes), Percent(row.SentBytes, row.Bytes), $"{Whole(100 * row.CompressedMemory)} %", $"{Whole(100 * row.CompressedDevices)} %", Whole(row.RequestsPerSecond),
                $"{Number(row.RoundTripMs.P50)} ms", $"{Number(row.RoundTripMs.P99)} ms", $"{Number(row.PauseMsP50)} ms", $"{Number(row.KeeperMsPerMiB)} ms, {Number(row.StandbyMsPerMiB)} ms");
        }
        console.Write(table);
    }

    private static string MiB(long bytes) => $"{Number(Math.Round(bytes / (double)(1 << 20), 1))} MiB";

    private static string Percent(long part, long whole) => $"{Number(Math.Round(100.0 * part / Math.Max(1, whole), 1))} %";

    private static string Whole(double value) => Number(Math.Round(value));

    private static string Number(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}

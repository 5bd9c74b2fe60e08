using System.Globalization;
using Pollux.Lab.Demo;
using Spectre.Console;

namespace Pollux.Cli.Demo;

/// <summary>A demonstration's report for people: what the client saw first, then what protection cost, then the takeover.</summary>
internal static class DemoTables
{
    private const int MaxPictureWidth = 110;

    internal static void Write(IAnsiConsole console, DemoReport report, DemoTimeline? timeline)
    {
        console.WriteLine();
        if (timeline is not null)
        {
            WritePicture(console, timeline);
        }
        console.Write(Summary(report));
        if (report.Rounds is { } rounds)
        {
            console.Write(Rounds(rounds));
        }
        console.MarkupLine(Verdict(report));
    }

    private static void WritePicture(IAnsiConsole console, DemoTimeline timeline)
    {
        foreach (var line in TimelinePicture.Draw(timeline, Math.Min(MaxPictureWidth, console.Profile.Width)))
        {
            console.MarkupLine(line);
        }
        console.MarkupLine("[green]█[/] runs  [grey]░[/] stands by  [yellow]▒[/] hears nothing  [orange1]▓[/] takes over  [aqua]▅[/] replies at the client");
        console.WriteLine();
    }

    private static Table Summary(DemoReport report)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("what the client saw").AddColumn(new TableColumn("").RightAligned());
        var client = report.Client;
        table.AddRow("requests", Number(client.Requests));
        table.AddRow("writes acknowledged, then read back", Number(client.Acknowledged));
        table.AddRow("acknowledged writes lost", client.Lost == 0 ? "[green]0[/]" : $"[red]{Number(client.Lost)}[/]");
        table.AddRow("wrong answers", client.WrongAnswers == 0 ? "[green]0[/]" : $"[red]{Number(client.WrongAnswers)}[/]");
        table.AddRow("its TCP connection", client.ConnectionSurvived ? "[green]survived[/]" : "[red]was lost[/]");
        table.AddRow("longest time without a reply", Ms(client.LongestGapMs));
        table.AddRow("round trip unprotected, median / 99th percentile", $"{Ms(client.RttMs.Unprotected.P50)} / {Ms(client.RttMs.Unprotected.P99)}");
        table.AddRow("round trip protected, median / 99th percentile", $"{Ms(client.RttMs.Protected.P50)} / {Ms(client.RttMs.Protected.P99)}");
        table.AddEmptyRow();
        table.AddRow("[bold]what the protection did[/]", $"QEMU {report.QemuVersion}, {report.Accelerator}");
        table.AddRow("checkpoints", $"{Number(report.Checkpoints.Count)}, {report.Checkpoints.PerSecond.ToString("0.#", CultureInfo.InvariantCulture)} a second");
        table.AddRow("guest paused for each, median / 99th percentile", $"{Ms(report.Checkpoints.PauseMs.P50)} / {Ms(report.Checkpoints.PauseMs.P99)}");
        AddTakeover(table, report);
        return table;
    }

    private static void AddTakeover(Table table, DemoReport report)
    {
        if (report.Takeover is not { } takeover)
        {
            table.AddRow("takeover", $"[yellow]none: {report.Outcome}[/]");
            return;
        }
        table.AddEmptyRow();
        table.AddRow("[bold]the takeover[/]", report.Rounds is null ? $"{report.Fault} of the guest's host" : $"medians of {report.Rounds.Count} rounds of {report.Fault}");
        table.AddRow("noticed after", Ms(takeover.DetectMs));
        table.AddRow("agreed who may run, in", Ms(takeover.ArbitrateMs));
        table.AddRow("loaded the last commit and ran, in", Ms(takeover.ResumeMs));
        table.AddRow("fault to the client's first answer", $"[bold]{Ms(takeover.KillToFirstAnswerMs)}[/]");
    }

    private static Table Rounds(IReadOnlyList<DemoReport> rounds)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("round", "outcome", "acknowledged", "lost", "connection", "detect", "arbitrate", "resume", "first answer");
        foreach (var (round, i) in rounds.Select((r, i) => (r, i + 1)))
        {
            table.AddRow(
                Number(i), round.Outcome, Number(round.Client.Acknowledged), Number(round.Client.Lost), round.Client.ConnectionSurvived ? "survived" : "[red]lost[/]",
                Ms(round.Takeover?.DetectMs), Ms(round.Takeover?.ArbitrateMs), Ms(round.Takeover?.ResumeMs), Ms(round.Takeover?.KillToFirstAnswerMs));
        }
        return table;
    }

    private static string Verdict(DemoReport report) => report.IsGood
        ? "[green]Nothing acknowledged was lost, and the client's connection survived.[/]"
        : $"[red]Not as it should be: {Markup.Escape(report.Client.FirstComplaint ?? "see the table")}[/]";

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Ms(double? ms) => ms is { } value ? value.ToString(value < 100 ? "0.0" : "0", CultureInfo.InvariantCulture) + " ms" : "-";
}

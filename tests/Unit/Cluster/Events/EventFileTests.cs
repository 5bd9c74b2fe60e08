using Pollux.Cluster.Events;
using Pollux.Core;

namespace Pollux.Unit.Tests.Cluster.Events;

public sealed class EventFileTests : IDisposable
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);
    private readonly string _directory = Directory.CreateTempSubdirectory("pollux-events").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private string Path => System.IO.Path.Combine(_directory, "events.jsonl");

    [Fact]
    public void Read_WhatWasAppended_FromATimeOn()
    {
        for (var i = 0; i < 5; i++)
        {
            EventFile.Append(Path, Event(i));
        }

        Assert.Equal(["event 3", "event 4"], EventFile.Read(Path, Noon.AddSeconds(3)).Select(e => e.Text));
        Assert.Empty(EventFile.Read(Path + "-none", Noon));
    }

    [Fact]
    public void Read_LinesThatAreNone_AreLeftOut()
    {
        EventFile.Append(Path, Event(1));
        File.AppendAllText(Path, "{\"time\":\"2026-11\n\nnonsense\n{\"time\":\"2026-11-21T12:00:00Z\",\"host\":\"NO\",\"kind\":\"x\",\"weight\":\"info\",\"text\":\"\"}\n");
        EventFile.Append(Path, Event(2));

        Assert.Equal(["event 1", "event 2"], EventFile.Read(Path, default).Select(e => e.Text));
    }

    [Fact]
    public void Append_PastTheLimit_KeepsTwoFilesAndTheNewestEvents()
    {
        const int limit = 4096;
        for (var i = 0; i < 500; i++)
        {
            EventFile.Append(Path, Event(i), limit);
        }

        Assert.InRange(new FileInfo(Path + ".1").Length, limit, limit + 1024);
        Assert.True(!File.Exists(Path) || new FileInfo(Path).Length < limit);
        var texts = EventFile.Read(Path, default).Select(e => e.Text).ToList();
        Assert.Equal("event 499", texts[^1]);
        Assert.Equal(Enumerable.Range(500 - texts.Count, texts.Count).Select(i => $"event {i}"), texts);
    }

    [Fact]
    public void Append_ByManyAtOnce_TearsNoLine()
    {
        Parallel.For(0, 8, writer =>
        {
            for (var i = 0; i < 200; i++)
            {
                EventFile.Append(Path, Event(i) with { Host = HostId.Create($"h{writer}") });
            }
        });

        Assert.Equal(1600, EventFile.Read(Path, default).Count);
    }

    [Fact]
    public void Append_WordsWithoutEnd_AreCut()
    {
        EventFile.Append(Path, Event(1) with { Text = new string('ä', 1 << 20) });

        Assert.InRange(Assert.Single(EventFile.Read(Path, default)).Text.Length, 1000, 5000);
    }

    [Fact]
    public void Journal_WritesWhatIsTold_BeforeItEnds()
    {
        using (var journal = new EventJournal(Path, HostId.Create("h1"), Assert.Fail))
        {
            journal.Tell(VmName.Create("redis"), EventKinds.Solo, EventWeight.Warning, "alone");
        }

        var e = Assert.Single(EventFile.Read(Path, default));
        Assert.Equal(("h1", "redis", "solo", EventWeight.Warning, "alone"), (e.Host.Value, e.Vm?.Value, e.Kind, e.Weight, e.Text));
    }

    [Fact]
    public void Journal_OfAttemptsThatFailAlike_TellsThemOnce()
    {
        for (var attempt = 0; attempt < 3; attempt++)
        {
            using var journal = new EventJournal(Path, HostId.Create("h1"), Assert.Fail);
            journal.Tell(VmName.Create("redis"), EventKinds.RehearsalFailed, EventWeight.Alarm, $"refused on port {4000 + attempt}");
            journal.Tell(VmName.Create("web"), EventKinds.Solo, EventWeight.Warning, "alone");
        }

        Assert.Equal(["refused on port 4000", "alone", "alone", "alone"], EventFile.Read(Path, default).Select(e => e.Text));
    }

    [Fact]
    public void Merge_OfHostsThatSawTheSame_TellsItOnce()
    {
        var gone = Event(0) with { Text = "the host h3 is gone", Vm = null };
        IReadOnlyList<ClusterEvent> h1 = [gone, Event(20) with { Text = "later" }];
        IReadOnlyList<ClusterEvent> h2 = [gone with { Host = HostId.Create("h2"), Time = Noon.AddSeconds(2) }, gone with { Host = HostId.Create("h2"), Time = Noon.AddSeconds(60) }];

        Assert.Equal([("h1", 0), ("h1", 20), ("h2", 60)], EventMerge.Merge([h1, h2]).Select(e => (e.Host.Value, (int)(e.Time - Noon).TotalSeconds)));
    }

    private static ClusterEvent Event(int second) =>
        new(Noon.AddSeconds(second), HostId.Create("h1"), VmName.Create("redis"), EventKinds.Started, EventWeight.Info, $"event {second}");
}

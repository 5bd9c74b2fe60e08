using Pollux.Cli.Demo;
using Pollux.Core;
using Pollux.Lab.Demo;
using Spectre.Console;

namespace Pollux.Unit.Tests.Cli.Demo;

public sealed class TimelinePictureTests
{
    private const int Width = 80;
    private const int Label = 8;

    private static readonly DemoTimeline Timeline = new(
        "power-off", HostId.Create("h1"), HostId.Create("h2"), Decided: 150, Open: 180, FirstAnswer: 200,
        [.. Enumerable.Range(-100, 100).Select(i => (double)i), .. Enumerable.Range(200, 100).Select(i => (double)i)]);

    [Fact]
    public void Draw_ATakeover_ShowsSilenceBetweenTheRepliesAndTheSurvivorRunningAfterwards()
    {
        var lines = Plain(Timeline);

        var replies = lines[1][Label..];
        var silence = replies.IndexOf('·', StringComparison.Ordinal);
        Assert.Equal(replies.Count(c => c == '·'), replies.LastIndexOf('·') - silence + 1);
        Assert.DoesNotContain('·', (char[])[replies[0], replies[^1]]);
        Assert.InRange(lines[2].IndexOf('✖', StringComparison.Ordinal) - Label - silence, -1, 1);
        Assert.EndsWith("█", lines[3], StringComparison.Ordinal);
        Assert.All(["░", "▒", "▓", "█"], c => Assert.Contains(c, lines[3], StringComparison.Ordinal));
    }

    [Fact]
    public void Draw_AnyWidth_FitsIt()
    {
        foreach (var width in new[] { 30, 80, 200 })
        {
            Assert.All(TimelinePicture.Draw(Timeline, width), line => Assert.InRange(Markup.Remove(line).Length, 1, width));
        }
    }

    [Fact]
    public void Draw_WithoutATakeover_SaysSo() =>
        Assert.Contains("nobody took over", Plain(Timeline with { Survivor = HostId.Create("h1"), Decided = null, Open = null })[3], StringComparison.Ordinal);

    private static List<string> Plain(DemoTimeline timeline) => [.. TimelinePicture.Draw(timeline, Width).Select(Markup.Remove)];
}

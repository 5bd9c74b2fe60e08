using Pollux.Cli.Output;

namespace Pollux.Unit.Tests.Cli.Output;

public sealed class EventTimeTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData("30s", "2026-11-21 11:59:30.000Z")]
    [InlineData("1.5h", "2026-11-21 10:30:00.000Z")]
    [InlineData("7d", "2026-11-14 12:00:00.000Z")]
    [InlineData("2026-11-21T10:00", "2026-11-21 10:00:00.000Z")]
    [InlineData("2026-11-21T10:00+02:00", "2026-11-21 08:00:00.000Z")]
    [InlineData("2026-11-20", "2026-11-20 00:00:00.000Z")]
    public void TryRead_SpansAndTimes_AreUtc(string text, string time) => Assert.Equal(time, EventTime.Write(EventTime.TryRead(text, Noon)!.Value));

    [Theory]
    [InlineData("")]
    [InlineData("m")]
    [InlineData("10")]
    [InlineData("10x")]
    [InlineData("-5m")]
    [InlineData("999999999999d")]
    [InlineData("yesterday")]
    public void TryRead_AnythingElse_IsNone(string text) => Assert.Null(EventTime.TryRead(text, Noon));
}

using System.Globalization;

namespace Pollux.Cli.Output;

/// <summary>Times of events, as people write and read them: UTC, for several hosts tell one story.</summary>
internal static class EventTime
{
    internal static string Write(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    /// <summary>A span before <paramref name="now"/> (30s, 10m, 2h, 7d) or a time of ISO 8601, UTC unless it says otherwise; null for anything else.</summary>
    internal static DateTimeOffset? TryRead(string text, DateTimeOffset now)
    {
        if (text.Length > 1 && double.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
        {
            var seconds = text[^1] switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86_400, _ => 0 };
            return seconds > 0 && number * seconds < TimeSpan.FromDays(36_500).TotalSeconds ? now - TimeSpan.FromSeconds(number * seconds) : null;
        }
        return text.Contains('-', StringComparison.Ordinal)
            && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time)
            && time.Year > 1970 ? time : null;
    }
}

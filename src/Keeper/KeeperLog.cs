using System.Globalization;

namespace Pollux.Keeper;

/// <summary>One line per thing that happened, to standard error, which the agent appends to keeper.log.</summary>
internal static class KeeperLog
{
    public static void Say(string line) =>
        Console.Error.WriteLine($"{DateTime.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture)} {line}");
}

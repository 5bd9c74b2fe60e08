using System.Globalization;
using Pollux.Linux.Io;

namespace Pollux.Keeper;

/// <summary>One line per thing that happened, to standard error, which the agent appends to keeper.log: bounded, for that lies in a tmpfs.</summary>
internal static class KeeperLog
{
    private static readonly BoundedErrorLog Log = new(BoundedErrorLog.UsualBytes);

    public static void Say(string line) =>
        Log.WriteLine($"{DateTime.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture)} {line}");
}

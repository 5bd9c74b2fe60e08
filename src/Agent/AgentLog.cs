using System.Globalization;
using Pollux.Linux.Io;

namespace Pollux.Agent;

/// <summary>Where the agent says what it did.</summary>
internal interface ILogger
{
    void Say(string line);
}

/// <summary>One line per thing that happened, to standard error, bounded if that is a file; a line that repeats the one before is left out.</summary>
internal sealed class StandardError : ILogger
{
    private readonly BoundedErrorLog _out = new(BoundedErrorLog.UsualBytes);
    private readonly Lock _lock = new();
    private string _last = "";

    public void Say(string line)
    {
        lock (_lock)
        {
            if (line == _last)
            {
                return;
            }
            _last = line;
        }
        _out.WriteLine($"{DateTime.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture)} {line}");
    }
}

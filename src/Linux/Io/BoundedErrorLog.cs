using System.Text;

namespace Pollux.Linux.Io;

/// <summary>
/// Lines to standard error. Where that is a file (a keeper's log, in a tmpfs), it is kept bounded: when it has grown past its limit it is
/// renamed to <c>FILE.1</c>, replacing the one before, and a new one begins. A pipe, a terminal or a journal is left to whoever reads it.
/// </summary>
public sealed class BoundedErrorLog(long limitBytes)
{
    private const string StandardError = "/proc/self/fd/2";
    private const int LookEveryLines = 16;
    private readonly Lock _lock = new();
    private int _lines;

    /// <summary>4 MiB: weeks of a keeper's ordinary words.</summary>
    public const long UsualBytes = 4 << 20;

    public void WriteLine(string line)
    {
        lock (_lock)
        {
            if (_lines++ % LookEveryLines == 0)
            {
                RotateWhenLong();
            }
            try
            {
                using var error = Console.OpenStandardError();
                error.Write(Encoding.UTF8.GetBytes(line + "\n"));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // A full tmpfs takes no line: whoever speaks here has more to do than to be heard.
            }
        }
    }

    private void RotateWhenLong()
    {
        try
        {
            if (File.ResolveLinkTarget(StandardError, returnFinalTarget: false) is not FileInfo { Exists: true } file
                || !file.Attributes.HasFlag(FileAttributes.Normal) || file.Length < limitBytes)
            {
                return;
            }
            File.Move(file.FullName, file.FullName + ".1", overwrite: true);
            using var next = AppendFile.Open(file.FullName);
            next.BecomeStandardError();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or LinuxException)
        {
            // What cannot be renamed goes on growing: better than no log.
        }
    }
}

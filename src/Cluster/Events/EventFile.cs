using Pollux.Linux.Io;

namespace Pollux.Cluster.Events;

/// <summary>
/// A host's events: JSON lines, oldest first, appended to by its agent and all its keepers, and kept bounded: a file that has grown past
/// its limit is renamed to <c>FILE.1</c>, replacing the one before. Who is just writing to the renamed file loses nothing by that.
/// </summary>
public static class EventFile
{
    /// <summary>Of each of the two files; some four thousand events.</summary>
    public const long UsualLimitBytes = 1 << 20;

    /// <summary>A text of others (QEMU's, the kernel's) may be long; a line is written whole or not at all.</summary>
    private const int LineBytesMost = 16 << 10;

    private const byte LineEnd = (byte)'\n';

    /// <exception cref="LinuxException">The disk does not take it.</exception>
    public static void Append(string path, ClusterEvent e, long limitBytes = UsualLimitBytes)
    {
        var line = e.ToLine();
        if (line.Length > LineBytesMost)
        {
            line = (e with { Text = string.Concat(e.Text.AsSpan(0, LineBytesMost / 8), "…"), Figures = null }).ToLine();
        }
        using var file = AppendFile.Open(path);
        file.Write([.. line, LineEnd]);
        if (file.Length >= limitBytes)
        {
            Rotate(path, limitBytes);
        }
    }

    /// <summary>Every event from <paramref name="since"/> on that both files hold; lines that cannot be read are left out.</summary>
    public static IReadOnlyList<ClusterEvent> Read(string path, DateTimeOffset since)
    {
        var events = new List<ClusterEvent>();
        foreach (var file in (string[])[path + ".1", path])
        {
            var rest = Bytes(file).AsSpan();
            while (rest.Length > 0)
            {
                var end = rest.IndexOf(LineEnd);
                var line = end < 0 ? rest : rest[..end];
                rest = end < 0 ? [] : rest[(end + 1)..];
                if (ClusterEvent.TryRead(line) is { } e && e.Time >= since)
                {
                    events.Add(e);
                }
            }
        }
        return events;
    }

    /// <summary>Some event from <paramref name="since"/> on is the same, but for numbers in it, of a time after <paramref name="since"/>.</summary>
    public static bool HoldsLately(string path, ClusterEvent e, DateTimeOffset since) =>
        Read(path, since).Any(old => (old.Vm, old.Kind) == (e.Vm, e.Kind) && WithoutNumbers(old.Text) == WithoutNumbers(e.Text));

    /// <summary>A port or a time in it makes a failure no other.</summary>
    public static string WithoutNumbers(string text) => string.Concat(text.Where(c => !char.IsAsciiDigit(c)));

    private static byte[] Bytes(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return [];
        }
    }

    /// <summary>One of the writers does it; the others go on writing.</summary>
    private static void Rotate(string path, long limitBytes)
    {
        using var only = FileLock.TryTake(path + ".lock");
        if (only is not null && new FileInfo(path) is { Exists: true } file && file.Length >= limitBytes)
        {
            File.Move(path, path + ".1", overwrite: true);
        }
    }
}

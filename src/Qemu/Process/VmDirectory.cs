using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization;
using Pollux.Core;
using Pollux.Linux.Io;
using Pollux.Linux.Processes;

namespace Pollux.Qemu.Process;

/// <summary>What a keeper leaves behind for its successor: the QEMU that it started. Written before QEMU runs its first instruction of the guest.</summary>
/// <param name="Moves">Its guest is on the way here, or was handed over to another host: until that is decided it may be the only copy, whatever the role says.</param>
/// <param name="PowerDownAsked">Its guest was asked to power down, and may be about it: what it does is not by itself.</param>
public sealed record QemuRecord(int Pid, string RamFile, bool Moves = false, bool PowerDownAsked = false)
{
    /// <summary>It is being started: nothing that its guest did was heard.</summary>
    public const int NotKnownYet = 0;
}

/// <summary>A VM's run directory. Who holds its lock is the VM's keeper on this host; nobody else touches what is in it.</summary>
public sealed class VmDirectory : IDisposable
{
    private const string Record = "qemu.json";
    private static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan EndWithin = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(20);
    private readonly FileLock _lock;
    private readonly Lock _noting = new();

    private VmDirectory(string path, FileLock taken) => (Path, _lock) = (path, taken);

    public string Path { get; }
    public string ControlSocket => System.IO.Path.Combine(Path, "keeper.sock");

    /// <summary>Takes the directory, and creates it. Waits a little: an agent that looks whether a keeper lives holds the lock for a moment.</summary>
    /// <exception cref="PolluxException">Another keeper holds it.</exception>
    public static VmDirectory Take(string path)
    {
        Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        for (var deadline = DateTime.UtcNow + LockPatience; ; Thread.Sleep(20))
        {
            if (FileLock.TryTake(System.IO.Path.Combine(path, "lock")) is { } taken)
            {
                return new VmDirectory(path, taken);
            }
            if (DateTime.UtcNow > deadline)
            {
                throw new PolluxException($"another keeper holds {path}", "one keeper per VM and host: ask it with 'pollux vm show'");
            }
        }
    }

    /// <summary>Takes it if it exists and no keeper holds it; null else.</summary>
    public static VmDirectory? TryTake(string path) =>
        Directory.Exists(path) && FileLock.TryTake(System.IO.Path.Combine(path, "lock")) is { } taken ? new VmDirectory(path, taken) : null;

    public QemuPaths PathsOf(string ramFile) => new(Path, ramFile);

    /// <summary>The rehearsal's QEMU has its sockets apart.</summary>
    public QemuPaths RehearsalPathsOf(string ramFile)
    {
        var directory = System.IO.Path.Combine(Path, "rehearsal");
        Directory.CreateDirectory(directory);
        return new QemuPaths(directory, ramFile);
    }

    public void WriteRecord(QemuRecord record)
    {
        var path = System.IO.Path.Combine(Path, Record);
        File.WriteAllBytes(path + ".new", JsonSerializer.SerializeToUtf8Bytes(record, QemuRecordJson.Default.QemuRecord));
        File.Move(path + ".new", path, overwrite: true);
    }

    /// <summary>Notes in the record, if there is one, that the guest moves, or does not any more.</summary>
    public void NoteMove(bool moves) => Note(record => record with { Moves = moves });

    /// <summary>Notes in the record, if there is one, that the guest was asked to power down, or that this is over.</summary>
    public void NotePowerDown(bool asked) => Note(record => record with { PowerDownAsked = asked });

    public QemuRecord? ReadRecord() => ReadRecord(Path);

    /// <summary>The QEMU that a dead keeper left, if it is still the process of that record and not another with its number.</summary>
    public QemuProcess? FindOrphan()
    {
        if (ReadRecord() is not { } record || QemuProcess.TryAdopt(record.Pid, PathsOf(record.RamFile).Log) is not { } process)
        {
            return null;
        }
        var isIt = false;
        try
        {
            // Opened first, looked at then: the number cannot change hands in between.
            isIt = ProcessTable.Mentions(record.Pid, record.RamFile);
            return isIt ? process : null;
        }
        finally
        {
            if (!isIt)
            {
                process.Dispose();
            }
        }
    }

    /// <summary>Whether a dead keeper's QEMU still runs.</summary>
    public bool HasOrphan() => HasQemu(Path);

    /// <summary>Whether the QEMU runs that a keeper, alive or dead, has noted there. Looks without the lock.</summary>
    public static bool HasQemu(string path) => ReadRecord(path) is { } record && ProcessTable.Mentions(record.Pid, record.RamFile);

    /// <summary>Kills what a dead keeper left and removes its files.</summary>
    /// <exception cref="PolluxException">A QEMU does not end.</exception>
    public async Task ClearAsync()
    {
        using (var orphan = FindOrphan())
        {
            await KillAsync(orphan).ConfigureAwait(false);
        }
        if (ReadRecord() is { } record)
        {
            if (record.Pid == QemuRecord.NotKnownYet)
            {
                await KillNamelessAsync(record.RamFile).ConfigureAwait(false);
            }
            File.Delete(record.RamFile);
            File.Delete(System.IO.Path.Combine(Path, Record));
        }
        foreach (var socket in Directory.EnumerateFiles(Path, "*.sock").Where(s => s != ControlSocket))
        {
            File.Delete(socket);
        }
        if (Directory.Exists(System.IO.Path.Combine(Path, "rehearsal")))
        {
            Directory.Delete(System.IO.Path.Combine(Path, "rehearsal"), recursive: true);
        }
    }

    public void Dispose() => _lock.Dispose();

    private void Note(Func<QemuRecord, QemuRecord> change)
    {
        lock (_noting)
        {
            if (ReadRecord() is { } record && change(record) is var changed && changed != record)
            {
                WriteRecord(changed);
            }
        }
    }

    private static QemuRecord? ReadRecord(string directory)
    {
        var path = System.IO.Path.Combine(directory, Record);
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), QemuRecordJson.Default.QemuRecord);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (JsonException e)
        {
            throw new PolluxException($"{path} is damaged: {e.Message}", "kill this VM's QEMU by hand and remove the file", e);
        }
    }

    private static async Task KillAsync(QemuProcess? orphan)
    {
        try
        {
            await (orphan?.KillAsync(EndWithin) ?? Task.CompletedTask).ConfigureAwait(false);
        }
        catch (TimeoutException e)
        {
            throw DoesNotEnd(orphan!.Pid, e);
        }
    }

    private static PolluxException DoesNotEnd(int process, Exception? cause) => new(
        $"QEMU {process} was killed, and has not ended within {EndWithin.TotalSeconds:0} s", $"it is tried again; if it stays so, see in /proc/{process}/stack what it waits for", cause);

    /// <summary>Ends a QEMU whose keeper died as it started it, and waits until its memory is free.</summary>
    private static async Task KillNamelessAsync(string ramFile)
    {
        for (var begin = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begin) < EndWithin && ProcessTable.FindMentioning(ramFile) is { Count: > 0 } found; await Task.Delay(LookAgain).ConfigureAwait(false))
        {
            foreach (var process in found)
            {
                ProcessTable.TrySignal(process, ProcessTable.Kill);
            }
        }
        if (ProcessTable.FindMentioning(ramFile) is [var stuck, ..])
        {
            throw DoesNotEnd(stuck, null);
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(QemuRecord))]
internal sealed partial class QemuRecordJson : JsonSerializerContext;

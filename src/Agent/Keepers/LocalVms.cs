using System.Text.Json;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Configuration;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Linux.Cgroups;
using Pollux.Qemu.Process;

namespace Pollux.Agent.Keepers;

/// <summary>
/// The VMs of this host as its run directories show them. Nothing is remembered: what a keeper or an agent left when it died is found
/// again.
/// </summary>
internal sealed class LocalVms(AgentConfig config)
{
    private const int LastWordsBytes = 4096;

    private const string KeeperConfigFile = "keeper.json";

    /// <summary>The number of the process that is, or is about to become, the keeper that was started last.</summary>
    private const string StartedProcess = "keeper.pid";

    /// <summary>What a keeper puts before the reason of its end.</summary>
    private static readonly string[] Prefixes = ["error: ", "leaves: "];
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(15);

    /// <summary>A process that has not become a keeper by then never will. The lock keeps it from being one beside another all the same.</summary>
    private static readonly TimeSpan BeginWithin = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan PollEvery = TimeSpan.FromMilliseconds(50);

    /// <summary>Every VM that has a run directory here.</summary>
    public IReadOnlyList<VmName> Names() => Directory.Exists(config.VmsDirectory)
        ? [.. Directory.EnumerateDirectories(config.VmsDirectory).Select(NameOf).OfType<VmName>()]
        : [];

    public KeeperClient ClientOf(VmName vm) => new(Path.Combine(config.DirectoryOf(vm), "keeper.sock"));

    public async Task<LocalVm> LookAsync(VmName vm, CancellationToken cancellation)
    {
        var path = config.DirectoryOf(vm);
        if (!Directory.Exists(path))
        {
            return LocalVm.Nothing;
        }
        var attempt = ReadConfig(vm)?.Attempt ?? 0;
        try
        {
            using (var directory = VmDirectory.TryTake(path))
            {
                // A keeper takes the directory when it has begun to run, which on a busy host lasts; others that look hold it for moments.
                if (directory is not null && !IsStarting(path))
                {
                    var left = directory.ReadRecord();
                    return new LocalVm(false, null, attempt, directory.HasOrphan(), left is { Moves: true }, left is not null, true, LastWords(vm));
                }
            }
            return LocalVm.Alive(await ClientOf(vm).TryStatusAsync(cancellation).ConfigureAwait(false), attempt);
        }
        catch (Exception e) when (e is PolluxException or IOException)
        {
            // It starts, ends or is too busy to answer; or something is damaged. In doubt it counts as alive: nothing is begun beside it.
            return LocalVm.Alive(null, attempt);
        }
    }

    /// <summary>Whether the VM's QEMU runs here, with a keeper or without.</summary>
    public bool HasQemu(VmName vm) => VmDirectory.HasQemu(config.DirectoryOf(vm));

    /// <summary>Kills the QEMU of a dead keeper and removes the VM's directory. Nothing happens while a keeper lives.</summary>
    public async Task ClearAsync(VmName vm)
    {
        using (var directory = VmDirectory.TryTake(config.DirectoryOf(vm)))
        {
            if (directory is null)
            {
                return;
            }
            if (VmGroup(vm) is { Exists: true } group)
            {
                group.Kill();
            }
            await directory.ClearAsync().ConfigureAwait(false);
            Directory.Delete(directory.Path, recursive: true);
        }
        foreach (var group in Groups(vm))
        {
            group.TryRemove();
        }
    }

    /// <summary>
    /// Starts a keeper, detached: in a session and a cgroup of its own, so that the agent's death does not touch it. Returns when it
    /// holds the VM's directory, or has ended.
    /// </summary>
    public async Task StartAsync(KeeperConfig keeper, CancellationToken cancellation)
    {
        Directory.CreateDirectory(keeper.RunDirectory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        foreach (var group in Groups(keeper.Vm))
        {
            group.Create();
        }
        var file = Path.Combine(keeper.RunDirectory, KeeperConfigFile);
        File.WriteAllBytes(file + ".new", JsonSerializer.SerializeToUtf8Bytes(keeper, KeeperJson.Default.KeeperConfig));
        File.SetUnixFileMode(file + ".new", UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.Move(file + ".new", file, overwrite: true);

        const string script = """
            echo $$ > "$5.new" && mv "$5.new" "$5" || exit 125
            [ -z "$1" ] || echo $$ > "$1/cgroup.procs" || exit 125
            # A keeper is idle most of the time and must be quick when it is not: it goes before guests, both within its session's
            # autogroup (sched(7)) and outside. Where that is not allowed it runs as any other.
            exec setsid sh -c 'echo -15 > /proc/self/autogroup; exec nice -n -15 "$0" --config "$1"' "$2" "$3" < /dev/null >> "$4" 2>&1
            """;
        var started = Path.Combine(keeper.RunDirectory, StartedProcess);
        File.Delete(started);
        var start = new System.Diagnostics.ProcessStartInfo("/bin/sh") { UseShellExecute = false };
        foreach (var argument in (string[])["-c", script, "keeper", KeeperGroup(keeper.Vm)?.Path ?? "", config.Keeper, file, LogOf(keeper.Vm), started])
        {
            start.ArgumentList.Add(argument);
        }
        using var process = System.Diagnostics.Process.Start(start) ?? throw new PolluxException($"{config.Keeper} cannot be started");
        for (var waited = TimeSpan.Zero; waited < StartPatience && !process.HasExited && !(File.Exists(started) && IsHeld(keeper.RunDirectory)); waited += PollEvery)
        {
            await Task.Delay(PollEvery, cancellation).ConfigureAwait(false);
        }
    }

    private static VmName? NameOf(string directory)
    {
        try
        {
            return VmName.Create(Path.GetFileName(directory));
        }
        catch (PolluxException)
        {
            return null; // Not made by an agent.
        }
    }

    public string? CgroupOf(VmName vm) => VmGroup(vm)?.Path;

    /// <summary>Whether the process that was started last lives and has had no time yet to take the directory.</summary>
    private static bool IsStarting(string path)
    {
        var file = Path.Combine(path, StartedProcess);
        try
        {
            return DateTime.UtcNow - File.GetLastWriteTimeUtc(file) < BeginWithin
                && File.ReadAllText($"/proc/{File.ReadAllText(file).Trim()}/cmdline").Contains(Path.Combine(path, KeeperConfigFile), StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static bool IsHeld(string path)
    {
        using var taken = VmDirectory.TryTake(path);
        return taken is null;
    }

    private KeeperConfig? ReadConfig(VmName vm)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(Path.Combine(config.DirectoryOf(vm), KeeperConfigFile)), KeeperJson.Default.KeeperConfig);
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            return null;
        }
    }

    private string LogOf(VmName vm) => Path.Combine(config.DirectoryOf(vm), "keeper.log");

    /// <summary>Why the keeper ended, as the last line of its log says.</summary>
    private string LastWords(VmName vm)
    {
        try
        {
            using var log = File.OpenRead(LogOf(vm));
            log.Seek(-Math.Min(log.Length, LastWordsBytes), SeekOrigin.End);
            using var reader = new StreamReader(log);
            var line = reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).LastOrDefault() ?? "";
            var text = line.IndexOf(' ', StringComparison.Ordinal) is var at and > 0 ? line[(at + 1)..] : line;
            return Prefixes.FirstOrDefault(p => text.StartsWith(p, StringComparison.Ordinal)) is { } prefix
                ? text[prefix.Length..]
                : $"its keeper ended without a word; the last line of its log: {text}";
        }
        catch (IOException)
        {
            return "its keeper ended without a word, nor a log";
        }
    }

    private IEnumerable<ControlGroup> Groups(VmName vm) =>
        ((ControlGroup?[])[KeeperGroup(vm), VmGroup(vm)]).OfType<ControlGroup>();

    private ControlGroup? KeeperGroup(VmName vm) => config.Cgroup is null ? null : new ControlGroup(Path.Combine(config.Cgroup, $"keeper-{vm}"));
    private ControlGroup? VmGroup(VmName vm) => config.Cgroup is null ? null : new ControlGroup(Path.Combine(config.Cgroup, $"vm-{vm}"));
}

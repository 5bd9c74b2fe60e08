using System.Diagnostics;
using System.Net.Sockets;
using Pollux.Core;
using Pollux.Lab.Layout;
using Pollux.Linux.Memory;
using Pollux.Migration.Policies;
using Pollux.Migration.Streaming;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Migration;

/// <summary>How a guest is started, here and after every move.</summary>
/// <param name="More">Arguments beside those of the product.</param>
public sealed record MovableSpec(VmSpec Vm, string Qemu = MovableSpec.Stock, IReadOnlyList<string>? More = null)
{
    public const string Stock = "qemu-system-x86_64";
}

/// <summary>What a move was like.</summary>
/// <param name="PauseMs">From the source's STOP to the destination's RESUME, both by QEMU's clock on this machine.</param>
/// <param name="TotalSeconds">From the order to the guest that runs at the destination.</param>
public sealed record Moved(MovableGuest Destination, Switchover Switchover, double PauseMs, double TotalSeconds, long SentBytes, IReadOnlyList<MigrationSample> Samples);

/// <summary>
/// A guest in a QEMU of its own, without keepers, which can move to another QEMU on this machine through the two ends that keepers use.
/// Its RAM is a file that is mapped here too.
/// </summary>
public sealed class MovableGuest : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan PollEvery = TimeSpan.FromMilliseconds(20);
    private readonly string _directory;

    private MovableGuest(MovableSpec spec, QemuVersion version, string directory, QemuPaths paths, MemoryMap ram, QemuProcess process) =>
        (Spec, Version, _directory, Paths, Ram, Process) = (spec, version, directory, paths, ram, process);

    public MovableSpec Spec { get; }
    public QemuVersion Version { get; }
    public QemuPaths Paths { get; }
    public MemoryMap Ram { get; }
    public QemuProcess Process { get; }
    public QmpSession Qmp { get; private set; } = null!;

    /// <summary>What the guest wrote to its serial port in this QEMU.</summary>
    public string Console()
    {
        if (!File.Exists(Paths.Serial))
        {
            return "";
        }
        using var stream = new FileStream(Paths.Serial, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    public static Task<MovableGuest> BootAsync(MovableSpec spec, CancellationToken cancellation) => StartAsync(spec, QemuSide.Primary, cancellation);

    /// <summary>A QEMU that waits for the guest.</summary>
    public Task<MovableGuest> StartDestinationAsync(CancellationToken cancellation) => StartDestinationAsync(Spec, cancellation);

    /// <summary>The same, but made otherwise than this one.</summary>
    public Task<MovableGuest> StartDestinationAsync(MovableSpec spec, CancellationToken cancellation) => StartAsync(spec, QemuSide.Destination, cancellation);

    public OutgoingOptions Outgoing(IMigrationPolicy policy, MigrationTerms terms) => new(Qmp, Version, Path.Combine(_directory, "out.sock"), policy, terms, Paths.RamFile);

    public Task<IncomingMigration> PrepareIncomingAsync(CancellationToken cancellation) =>
        IncomingMigration.PrepareAsync(Process, Qmp, Path.Combine(_directory, "in.sock"), cancellation);

    /// <summary>Terms for this guest.</summary>
    public MigrationTerms Terms(double? linkMBps, double maxPauseMs, double deadlineSeconds, WhenLonger whenLonger = WhenLonger.Wait) =>
        new(Ram.Length, maxPauseMs, deadlineSeconds * 1000, linkMBps * 1e6, OverheadMs: 20, whenLonger);

    /// <summary>Moves it. This one is stopped afterwards, with its RAM as it was at the end; on failure it runs on.</summary>
    /// <param name="whilePaused">Called with both ends while neither runs.</param>
    /// <param name="running">Told of the migration as soon as there is one.</param>
    public async Task<Moved> MoveAsync(
        IMigrationPolicy policy, MigrationTerms terms, CancellationToken cancellation, Action<MovableGuest>? whilePaused = null, Action<OutgoingMigration>? running = null)
    {
        var destination = await StartDestinationAsync(cancellation).ConfigureAwait(false);
        try
        {
            var incoming = await destination.PrepareIncomingAsync(cancellation).ConfigureAwait(false);
            var (near, far) = LinkPair.Make();
            await using (incoming.ConfigureAwait(false))
            await using (near.ConfigureAwait(false))
            await using (far.ConfigureAwait(false))
            {
                var begin = Stopwatch.GetTimestamp();
                var receiving = incoming.ReceiveAsync(far, null, cancellation);
                var outgoing = await OutgoingMigration.BeginAsync(Outgoing(policy, terms), near, cancellation).ConfigureAwait(false);
                await using (outgoing.ConfigureAwait(false))
                {
                    running?.Invoke(outgoing);
                    try
                    {
                        var switchover = await outgoing.UntilSwitchoverAsync(cancellation).ConfigureAwait(false);
                        await outgoing.CompleteAsync(cancellation).ConfigureAwait(false);
                        await receiving.ConfigureAwait(false);
                        whilePaused?.Invoke(destination);
                        await incoming.RunAsync(cancellation).ConfigureAwait(false);
                        var total = Stopwatch.GetElapsedTime(begin).TotalSeconds;
                        return new Moved(
                            destination, switchover, incoming.ResumedUnixMs!.Value - switchover.StoppedUnixMs, total, outgoing.SentBytes, outgoing.Samples);
                    }
                    catch
                    {
                        await outgoing.AbandonAsync(resume: true).ConfigureAwait(false);
                        throw;
                    }
                    finally
                    {
                        await near.DisposeAsync().ConfigureAwait(false);
                        await SettledAsync(receiving).ConfigureAwait(false);
                    }
                }
            }
        }
        catch
        {
            await destination.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>The first address at which the two guests' RAM differs; null when it is equal. Only while neither runs.</summary>
    public long? FirstDifference(MovableGuest other)
    {
        const int piece = 1 << 20;
        for (long at = 0; at < Ram.Length; at += piece)
        {
            var length = (int)Math.Min(piece, Ram.Length - at);
            var same = Ram.Span(at, length).CommonPrefixLength(other.Ram.Span(at, length));
            if (same < length)
            {
                return at + same;
            }
        }
        return null;
    }

    public async Task<string> RunStateAsync() =>
        (await Qmp.ExecuteAsync("query-status").ConfigureAwait(false)).GetProperty("status").GetString()!;

    /// <exception cref="PolluxException">Not within a minute, or QEMU ended.</exception>
    public async Task UntilAsync(Func<MovableGuest, bool> holds, string what, CancellationToken cancellation)
    {
        for (var begin = Stopwatch.GetTimestamp(); !holds(this); await Task.Delay(PollEvery, cancellation).ConfigureAwait(false))
        {
            if (Process.Exited.IsCompleted)
            {
                throw new PolluxException($"QEMU ended before the guest was {what}: {await Process.Exited.ConfigureAwait(false)}");
            }
            if (Stopwatch.GetElapsedTime(begin) > Patience)
            {
                throw new PolluxException($"the guest is not {what} within {Patience.TotalSeconds:0} s", $"see {Paths.Serial} and {Paths.Log}");
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Qmp is not null)
        {
            await Qmp.DisposeAsync().ConfigureAwait(false);
        }
        await Process.KillAsync(Patience).ConfigureAwait(false);
        Process.Dispose();
        Ram.Dispose();
        File.Delete(Paths.RamFile);
        Directory.Delete(_directory, recursive: true);
    }

    private static async Task<MovableGuest> StartAsync(MovableSpec spec, QemuSide side, CancellationToken cancellation)
    {
        var version = await QemuVersion.OfAsync(spec.Qemu, cancellation).ConfigureAwait(false);
        var directory = Directory.CreateTempSubdirectory("plx-move-").FullName;
        var paths = new QemuPaths(directory, $"/dev/shm/{Path.GetFileName(directory)}.ram");
        var ram = MemoryMap.CreateFile(paths.RamFile, QemuCommandLine.RamBytes(spec.Vm, version, spec.Vm.Accelerator));
        var preload = spec.Vm.Accelerator == Accelerator.Tcg && version.NeedsTcgShim ? LabPrograms.ShimOfCheckout() : null;
        var process = QemuProcess.Start(new QemuLaunch(
            spec.Qemu, [.. QemuCommandLine.Build(spec.Vm, side, paths, version, spec.Vm.Accelerator), .. spec.More ?? []], null, preload, paths.Log));
        var guest = new MovableGuest(spec, version, directory, paths, ram, process);
        try
        {
            guest.Qmp = await QmpSession.ConnectAsync(paths.Qmp, Patience, cancellation).ConfigureAwait(false);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static async Task SettledAsync(Task task)
    {
        try
        {
            await task.ConfigureAwait(false);
        }
        catch (PolluxException)
        {
            // The source tells why.
        }
        catch (OperationCanceledException)
        {
            // Both ends were told.
        }
    }
}

/// <summary>Two ends of a link inside this machine.</summary>
public static class LinkPair
{
    public static (Stream Near, Stream Far) Make()
    {
        var path = Path.Combine(Path.GetTempPath(), $"plx-link-{Guid.NewGuid():n}.sock");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        var near = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        near.Connect(new UnixDomainSocketEndPoint(path));
        var far = listener.Accept();
        File.Delete(path);
        return (new NetworkStream(near, ownsSocket: true), new NetworkStream(far, ownsSocket: true));
    }
}

using System.Security.Cryptography;
using System.Text;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Qemu.Process;
using Pollux.Qemu.Spec;
using Pollux.Replication.Pair;

namespace Pollux.Keeper.Guests;

/// <summary>The machine that a spec describes, on this host's QEMU: how to start it, and what a partner must agree with.</summary>
internal sealed record Machine(KeeperConfig Config, VmSpec Spec, QemuVersion Version, Accelerator Accelerator, VmDirectory Directory, Incarnation Incarnation)
{
    public long RamBytes => QemuCommandLine.RamBytes(Spec, Version, Accelerator);

    public string RamFile => Path.Combine(Config.RamDirectory, $"pollux-{Spec.Name}-{Incarnation}.ram");

    /// <summary>Two sides with different specs are no pair.</summary>
    public string SpecDigest => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Config.SpecYaml)));

    /// <summary>State moves only between equals.</summary>
    public string Qemu => $"{Version} ({(Accelerator == Accelerator.Kvm ? "kvm" : "tcg")})";

    /// <summary>What another keeper must agree with before it may send this machine's state.</summary>
    public PeerTerms TermsOf(Member me) => new(Spec.Name, me, SpecDigest, Qemu, RamBytes);

    /// <exception cref="PolluxException">The spec or the configuration is wrong, or QEMU is not there.</exception>
    public static async Task<Machine> PlanAsync(KeeperConfig config, VmDirectory directory, Incarnation incarnation, CancellationToken cancellation)
    {
        var spec = VmSpecReader.Read(config.SpecYaml, $"the spec of {config.Vm}");
        var accelerator = config.Accelerator switch
        {
            "kvm" => Accelerator.Kvm,
            "tcg" => Accelerator.Tcg,
            var other => throw new PolluxException($"keeper.json names the accelerator '{other}'", "the agent resolves it to kvm or tcg"),
        };
        var version = await QemuVersion.OfAsync(config.QemuBinary, cancellation).ConfigureAwait(false);
        return new Machine(config, spec, version, accelerator, directory, incarnation);
    }

    /// <summary>
    /// Creates the RAM file, all of it present, and starts QEMU on it. The map stays the caller's. The record for a successor is written before there is
    /// anything to find, and again when the process is known.
    /// </summary>
    public (QemuProcess Process, MemoryMap Ram) Start(QemuSide side)
    {
        var record = new QemuRecord(QemuRecord.NotKnownYet, RamFile, Moves: side == QemuSide.Destination);
        Directory.WriteRecord(record);
        var ram = MemoryMap.CreateFile(RamFile, RamBytes);
        QemuProcess? process = null;
        try
        {
            process = Launch(side, Directory.PathsOf(RamFile));
            Directory.WriteRecord(record with { Pid = process.Pid });
            return (process, ram);
        }
        catch
        {
            process?.Kill();
            ram.Dispose();
            File.Delete(RamFile);
            throw;
        }
    }

    /// <summary>A QEMU beside the standby's, which sees the same RAM through a private map.</summary>
    public QemuProcess StartRehearsal(QemuPaths paths) => Launch(QemuSide.Rehearsal, paths);

    private QemuProcess Launch(QemuSide side, QemuPaths paths) => QemuProcess.Start(new QemuLaunch(
        Config.QemuBinary, QemuCommandLine.Build(Spec, side, paths, Version, Accelerator), Config.Cgroup, Preload, paths.Log));

    private string? Preload => Accelerator == Accelerator.Tcg && Version.NeedsTcgShim ? Config.TcgShim : null;
}

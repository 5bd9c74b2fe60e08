using System.Net;
using Pollux.Core;
using Pollux.Lab.Load;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Vms;

/// <summary>The guest of the demo, of the benchmarks and of most tests: a Linux with a Redis server, as examples/redis.yaml describes it.</summary>
public static class RedisGuest
{
    /// <summary>Where it serves, in the lab's network <c>lan</c>.</summary>
    public static IPEndPoint Server { get; } = IPEndPoint.Parse("10.78.0.10:6379");

    public static string SpecFileOf(LabCluster lab) => Path.Combine(lab.Programs.Examples, "redis.yaml");

    public static Task<VmSpec> SpecAsync(LabCluster lab, CancellationToken cancellation = default) => ReadSpecAsync(SpecFileOf(lab), cancellation);

    /// <summary>The same guest with chrony, which asks <see cref="TimeServer"/> for the time.</summary>
    public static VmSpec WithChrony(VmSpec spec) => spec with
    {
        Initrd = spec.Initrd!.Replace("initrd.gz", "initrd-chrony.gz", StringComparison.Ordinal),
        CommandLine = $"{spec.CommandLine} pollux.ntp={TimeServer.Address}",
    };

    /// <summary>Reads a spec whose guest is this one.</summary>
    public static async Task<VmSpec> ReadSpecAsync(string file, CancellationToken cancellation = default) =>
        VmSpecReader.Read(await File.ReadAllTextAsync(file, cancellation).ConfigureAwait(false), file);

    /// <summary>Defines it with its home on h1 and starts it; it boots yet when this returns.</summary>
    /// <param name="change">What is to differ from the example.</param>
    public static async Task<LabVm> StartAsync(LabCluster lab, Func<VmSpec, VmSpec>? change = null, CancellationToken cancellation = default)
    {
        var example = await SpecAsync(lab, cancellation).ConfigureAwait(false);
        return await LabVm.StartAsync(lab, change?.Invoke(example) ?? example, "h1", cancellation).ConfigureAwait(false);
    }

    /// <summary>A client's load, as soon as the server serves.</summary>
    /// <exception cref="PolluxException">It does not within <paramref name="patience"/>.</exception>
    public static Task<RedisLoad> LoadAsync(LabCluster lab, ulong seed, TimeSpan patience, CancellationToken cancellation = default, TimeSpan pace = default) =>
        RedisLoad.StartWhenServingAsync(lab.OpenClientSocket, Server, seed, patience, cancellation, pace);
}

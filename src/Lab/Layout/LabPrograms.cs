using Pollux.Core;

namespace Pollux.Lab.Layout;

/// <summary>Where the programs are that the lab runs: the checkout that this assembly was built in.</summary>
public sealed record LabPrograms(string Root)
{
    private const string Marker = "Pollux.slnx";

    public string BinDirectory => Path.Combine(Root, "bin");
    public string Agent => Path.Combine(BinDirectory, "polluxd");
    public string Keeper => Path.Combine(BinDirectory, "pollux-keeper");
    public string Cli => Path.Combine(BinDirectory, "pollux");
    public string Etcd => Path.Combine(Root, ".cache/etcd/usr/bin/etcd");

    /// <summary>Debian's chrony, unpacked.</summary>
    public string Chrony => Path.Combine(Root, ".cache/chrony");
    public string TcgShim => Path.Combine(Root, "out/native/tcg-shim.so");
    public string Examples => Path.Combine(Root, "examples");

    /// <summary>The TCG shim of the checkout that this runs from, if it does.</summary>
    public static string? ShimOfCheckout() => Checkout() is { } root ? new LabPrograms(root).TcgShim : null;

    /// <exception cref="PolluxException">Not run from a checkout, or the checkout is not set up.</exception>
    public static LabPrograms Find()
    {
        if (Checkout() is not { } root)
        {
            throw new PolluxException($"the lab needs a checkout of Pollux, and {AppContext.BaseDirectory} is in none", "run bin/pollux of a checkout");
        }
        var programs = new LabPrograms(root);
        var missing = new[] { programs.Agent, programs.Keeper, programs.Cli, programs.Etcd }.FirstOrDefault(f => !File.Exists(f));
        return missing is null ? programs : throw new PolluxException($"{missing} does not exist", $"run {Path.Combine(root, "eng/setup.sh")}");
    }

    private static string? Checkout()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, Marker)))
            {
                return directory.FullName;
            }
        }
        return null;
    }
}

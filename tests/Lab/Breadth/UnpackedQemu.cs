using Pollux.Lab.Hosts;
using Pollux.Lab.Layout;

namespace Pollux.Lab.Tests.Breadth;

/// <summary>The QEMU of another Debian suite, with its own libraries, in the cache: fetched once.</summary>
internal static class UnpackedQemu
{
    public static async Task<string> OfAsync(string suite)
    {
        var root = LabPrograms.Find().Root;
        (await Tool.RunAsync(Path.Combine(root, "eng/unpack-qemu.sh"), [suite])).Checked($"unpacking the QEMU of {suite}");
        return Path.Combine(root, ".cache", $"qemu-{suite}", "qemu");
    }
}

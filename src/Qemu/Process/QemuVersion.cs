using System.Text.RegularExpressions;
using Pollux.Core;

namespace Pollux.Qemu.Process;

/// <summary>A version of QEMU, such as 7.2.22.</summary>
public sealed partial record QemuVersion(int Major, int Minor, int Micro)
{
    /// <summary>Reads what <c>--version</c> or QMP's greeting says.</summary>
    public static QemuVersion Parse(string text)
    {
        var match = Numbers().Match(text);
        return match.Success
            ? new QemuVersion(int.Parse(match.Groups[1].Value), int.Parse(match.Groups[2].Value), int.Parse(match.Groups[3].Value))
            : throw new PolluxException($"'{text.Trim().Split('\n')[0]}' is no version of QEMU");
    }

    /// <summary>Asks a binary.</summary>
    public static async Task<QemuVersion> OfAsync(string binary, CancellationToken cancellation)
    {
        var start = new System.Diagnostics.ProcessStartInfo(binary, "--version") { RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using var process = System.Diagnostics.Process.Start(start) ?? throw new InvalidOperationException("no process");
            var text = await process.StandardOutput.ReadToEndAsync(cancellation).ConfigureAwait(false);
            await process.WaitForExitAsync(cancellation).ConfigureAwait(false);
            return Parse(text);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new PolluxException($"QEMU cannot be started as '{binary}': {e.Message}", "install qemu-system-x86, or name the binary in agent.yaml", e);
        }
    }

    /// <summary>
    /// Up to 10.x COLO saves RAM without QEMU's big lock, and TCG then dead-locks: native/tcg-shim.c is preloaded. KVM needs none.
    /// </summary>
    public bool NeedsTcgShim => Major <= 10;

    /// <summary>
    /// Up to 9.x TCG's dirty tracking loses pages when a RAM block is aligned to 64 pages: the guest gets two pages more.
    /// </summary>
    public bool LosesAlignedPagesUnderTcg => Major < 10;

    public override string ToString() => $"{Major}.{Minor}.{Micro}";

    [GeneratedRegex(@"(\d+)\.(\d+)\.(\d+)")]
    private static partial Regex Numbers();
}

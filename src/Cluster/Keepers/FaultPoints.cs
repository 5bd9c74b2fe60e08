using Pollux.Core;

namespace Pollux.Cluster.Keepers;

/// <summary>What a keeper does at a fault point, once.</summary>
public enum FaultPointAction
{
    /// <summary>The thread that reaches it waits there until it is let go.</summary>
    Hold,

    /// <summary>The keeper kills itself.</summary>
    Kill,

    /// <summary>An answer of the store or of the other side is lost. Only at points that are such an answer.</summary>
    Drop,
}

/// <summary>
/// How tests name and arm moments of the protocol in real keepers: a file per point, in a directory that only a lab's hosts have. The
/// file holds the action; a keeper that reaches the point renames it, does as it says, and goes on when the renamed file is gone.
///
/// Every step has a point: <c>Hears.EVENT</c> before the pair's machine hears an event, <c>Does.EFFECT</c> before an effect is carried out
/// (<c>Does.SwapRole.STATE</c> for swaps), and those named here, which lie between such steps.
/// </summary>
public static class FaultPoints
{
    /// <summary>Primary: a checkpoint is captured, nothing of it is on the link, the guest is stopped.</summary>
    public const string Cut = "Primary.Cut";

    /// <summary>Primary: the checkpoint is on its way, the guest is still stopped.</summary>
    public const string Shipped = "Primary.Shipped";

    /// <summary>Primary: the guest runs again.</summary>
    public const string Resumed = "Primary.Resumed";

    /// <summary>Primary: an acknowledgement was read from the link. May be dropped.</summary>
    public const string Acknowledgement = "Primary.Acknowledgement";

    /// <summary>Standby: the acknowledgement is sent, the epoch not handed on to be applied.</summary>
    public const string Acknowledged = "Standby.Acknowledged";

    /// <summary>Standby: the image is exact, the device state not loaded.</summary>
    public const string Loading = "Standby.Loading";

    /// <summary>Standby: the device state is loaded and the guest runs, its network is not attached.</summary>
    public const string Loaded = "Standby.Loaded";

    /// <summary>A read of the role was answered. May be dropped.</summary>
    public const string ReadAnswer = "Store.ReadAnswer";

    /// <summary>A swap of the role to a state was answered. May be dropped.</summary>
    public static string SwapAnswer(string state) => $"Store.SwapAnswer.{state}";

    public static string FileOf(string directory, VmName vm, string point) => Path.Combine(directory, $"{vm}@{point}");

    public static string ReachedFileOf(string directory, VmName vm, string point) => FileOf(directory, vm, point) + ".reached";
}

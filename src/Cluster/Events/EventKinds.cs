namespace Pollux.Cluster.Events;

/// <summary>The words by which programs tell events apart; docs/operation.md says what each means, and a test that it says all.</summary>
public static class EventKinds
{
    // A VM's life
    public const string Defined = "defined";
    public const string Deleted = "deleted";
    public const string StartAsked = "start-asked";
    public const string StopAsked = "stop-asked";
    public const string ProtectAsked = "protect-asked";
    public const string UnprotectAsked = "unprotect-asked";
    public const string TakeoverAsked = "takeover-asked";
    public const string MigrateAsked = "migrate-asked";
    public const string SettingsChanged = "settings-changed";
    public const string Started = "started";
    public const string StartFailed = "start-failed";
    public const string Stopped = "stopped";
    public const string GuestReset = "guest-reset";
    public const string GuestDied = "guest-died";
    public const string KeeperDied = "keeper-died";

    // Live migration
    public const string Moving = "moving";
    public const string Moved = "moved";
    public const string MoveFailed = "move-failed";

    // Protection
    public const string Syncing = "syncing";
    public const string Protected = "protected";
    public const string SyncFailed = "sync-failed";
    public const string Unprotected = "unprotected";
    public const string NotProtected = "not-protected";
    public const string Solo = "solo";
    public const string Takeover = "takeover";
    public const string TakeoverFailed = "takeover-failed";
    public const string HandedOver = "handed-over";
    public const string Superseded = "superseded";
    public const string StandbyLeft = "standby-left";
    public const string StandbyFailed = "standby-failed";
    public const string RehearsalFailed = "rehearsal-failed";
    public const string Waiting = "waiting";
    public const string WaitedFor = "waited";
    public const string Lagging = "lagging";
    public const string LagOver = "lag-over";
    public const string Late = "late";
    public const string ScrubAlarm = "scrub-alarm";
    public const string NetworkFailed = "network-failed";

    // Hosts
    public const string AgentStarted = "agent-started";
    public const string HostAlive = "host-alive";
    public const string HostGone = "host-gone";
    public const string LeaseLost = "lease-lost";
    public const string EtcdLost = "etcd-lost";
    public const string EtcdBack = "etcd-back";
    public const string EtcdMemberLost = "etcd-member-lost";
    public const string EtcdMemberBack = "etcd-member-back";
    public const string EventsLost = "events-lost";

    /// <summary>How attempts end that are made again and again, each by a keeper of its own.</summary>
    internal static IReadOnlyList<string> OfAttempts { get; } = [StandbyFailed, RehearsalFailed, StartFailed];

    /// <summary>All of them.</summary>
    public static IReadOnlyList<string> All { get; } =
        [.. typeof(EventKinds).GetFields().Where(f => f.IsLiteral).Select(f => (string)f.GetRawConstantValue()!)];
}

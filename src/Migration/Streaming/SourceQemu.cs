using System.Net.Sockets;
using System.Text.Json.Nodes;
using Pollux.Core;
using Pollux.Migration.Policies;
using Pollux.Qemu.Outgoing;
using Pollux.Qemu.Qmp;

namespace Pollux.Migration.Streaming;

/// <summary>The QEMU that a guest leaves: the commands of its migration, and what it tells by itself.</summary>
internal sealed class SourceQemu : IDisposable
{
    // QEMU's largest downtime-limit (MAX_MIGRATE_DOWNTIME): whatever is left takes no longer.
    private const int SwitchOverNowMs = 2_000_000;

    // QEMU's own defaults of auto-converge, and the throttle that is none: 1 % is the least it knows.
    private const int ThrottleInitial = 20;
    private const int ThrottleIncrement = 10;
    private const int ThrottleMax = 99;
    private const int ThrottleHeld = 1;

    private readonly QmpSession _qmp;
    private readonly SemaphoreSlim _changed = new(0, 1);
    private long _stoppedMicros;
    private bool _throttleHeld;

    private SourceQemu(QmpSession qmp)
    {
        _qmp = qmp;
        _qmp.EventReceived += Hear;
    }

    /// <summary>When the guest last stopped, by QEMU's own clock; null: it did not since the beginning, or runs again.</summary>
    public double? StoppedUnixMs => Interlocked.Read(ref _stoppedMicros) is > 0 and var micros ? micros / 1000.0 : null;

    /// <summary>Tells QEMU to send its guest, and takes its connection.</summary>
    /// <exception cref="PolluxException">QEMU refused, in its own words, or did not connect.</exception>
    public static async Task<(SourceQemu Qemu, Socket Stream)> BeginAsync(OutgoingOptions options, MigrationSetup setup, CancellationToken cancellation)
    {
        var qemu = new SourceQemu(options.Qmp);
        try
        {
            await qemu.ConfigureAsync(setup, options.Terms.WhenLonger == WhenLonger.Throttle, cancellation).ConfigureAwait(false);
            return (qemu, await OutgoingStream.OpenAsync(options.Qmp, options.SocketPath, cancellation).ConfigureAwait(false));
        }
        catch (Exception e)
        {
            qemu.Dispose();
            throw e is QmpCommandException refused ? new PolluxException($"QEMU {options.Version} does not migrate this VM: {refused.Description}", null, e) : e;
        }
    }

    /// <summary>Until QEMU tells of a change, or the time has passed.</summary>
    public Task WaitForChangeAsync(TimeSpan atMost, CancellationToken cancellation) => _changed.WaitAsync(atMost, cancellation);

    public async Task<MigrationStatus> StatusAsync(CancellationToken cancellation)
    {
        var status = MigrationStatus.Parse(await _qmp.ExecuteAsync("query-migrate", null, cancellation).ConfigureAwait(false));
        return _throttleHeld ? status with { ThrottlePercent = 0 } : status;
    }

    /// <summary>running, paused, finish-migrate, postmigrate, shutdown, …</summary>
    public async Task<string> RunStateAsync(CancellationToken cancellation) =>
        (await _qmp.ExecuteAsync("query-status", null, cancellation).ConfigureAwait(false)).GetProperty("status").GetString()!;

    public Task<bool> HasMigrationAsync(CancellationToken cancellation) => OutgoingStream.IsThereAsync(_qmp, cancellation);

    public Task LimitAsync(double downtimeLimitMs, CancellationToken cancellation) =>
        SetAsync(new JsonObject { ["downtime-limit"] = LimitOf(downtimeLimitMs) }, cancellation);

    public Task SwitchOverAsync(CancellationToken cancellation) => LimitAsync(SwitchOverNowMs, cancellation);

    public Task ThrottleAsync(CancellationToken cancellation)
    {
        _throttleHeld = false;
        // QEMU is at the 1 % it was held at and adds to that: with the next step it is where auto-converge begins.
        return SetAsync(ThrottleParameters(ThrottleInitial, ThrottleInitial, ThrottleMax), cancellation);
    }

    public Task ContinueAsync(CancellationToken cancellation) =>
        _qmp.ExecuteAsync("migrate-continue", new JsonObject { ["state"] = "pre-switchover" }, cancellation);

    /// <summary>No error when there is nothing to cancel.</summary>
    public Task CancelAsync(CancellationToken cancellation) => _qmp.ExecuteAsync("migrate_cancel", null, cancellation);

    public Task RunAsync(CancellationToken cancellation) => _qmp.ExecuteAsync("cont", null, cancellation);

    public Task StopAsync(CancellationToken cancellation) => _qmp.ExecuteAsync("stop", null, cancellation);

    public void Dispose() => _qmp.EventReceived -= Hear;

    private async Task ConfigureAsync(MigrationSetup setup, bool mayThrottle, CancellationToken cancellation)
    {
        // What a protection or a takeover before left on would end this migration or leave the RAM behind.
        JsonArray capabilities =
        [
            Capability("x-colo", false), Capability("x-ignore-shared", false), Capability("return-path", false), Capability("xbzrle", false),
            Capability("events", true), Capability("pause-before-switchover", true), Capability("auto-converge", setup.AutoConverge || mayThrottle),
        ];
        await _qmp.ExecuteAsync("migrate-set-capabilities", new JsonObject { ["capabilities"] = capabilities }, cancellation).ConfigureAwait(false);
        // The capability cannot be switched on later, and its trigger cannot be set so high that it never fires (at most 100: a guest as fast as
        // the link). What can be held down, and let go later, is how far it may go.
        _throttleHeld = mayThrottle && !setup.AutoConverge;
        var parameters = _throttleHeld
            ? ThrottleParameters(ThrottleHeld, ThrottleHeld, ThrottleHeld)
            : ThrottleParameters(ThrottleInitial, ThrottleIncrement, ThrottleMax);
        // The relay is the link: 100 GB/s is no limit.
        parameters["max-bandwidth"] = 100_000_000_000;
        parameters["downtime-limit"] = LimitOf(setup.DowntimeLimitMs);
        await SetAsync(parameters, cancellation).ConfigureAwait(false);
    }

    private Task SetAsync(JsonObject parameters, CancellationToken cancellation) => _qmp.ExecuteAsync("migrate-set-parameters", parameters, cancellation);

    private static JsonObject ThrottleParameters(int initial, int increment, int max) =>
        new() { ["cpu-throttle-initial"] = initial, ["cpu-throttle-increment"] = increment, ["max-cpu-throttle"] = max };

    private static int LimitOf(double downtimeLimitMs) => (int)Math.Clamp(Math.Round(downtimeLimitMs), 0, SwitchOverNowMs);

    private static JsonObject Capability(string name, bool state) => new() { ["capability"] = name, ["state"] = state };

    private void Hear(QmpEvent e)
    {
        switch (e.Name)
        {
            case "STOP":
                Interlocked.Exchange(ref _stoppedMicros, e.TimestampMicros);
                break;
            case "RESUME":
                Interlocked.Exchange(ref _stoppedMicros, 0);
                break;
            case not "MIGRATION":
                return;
        }
        try
        {
            _changed.Release();
        }
        catch (SemaphoreFullException)
        {
            // Somebody will look anyway.
        }
    }
}

using Pollux.Cluster.Api;
using Pollux.Cluster.Events;
using Pollux.Cluster.Keepers;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Tests.Labs;
using Pollux.Lab.Vms;
using Pollux.Replication.Pair;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>The standby's memory is compared with the primary's while a client works: a clean pair never raises an alarm, a spoilt page always does.</summary>
[Collection(ProtectedLabTests.Name)]
public sealed class ScrubRoundTests(ProtectedLab lab, ITestOutputHelper output)
{
    /// <summary>The kernel's text begins at 16 MiB and is never written again.</summary>
    private const long SpoiltAddress = (17 << 20) + (3 * GuestRam.PageBytes);
    private const int Attempts = 3;

    /// <summary>A round of comparisons takes the longer the fewer cuts there are.</summary>
    private static readonly TimeSpan Found = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan Mended = TimeSpan.FromMinutes(2);
    private static readonly ProtectionSettings Calm = new(DetectionMs: 2000);
    private static readonly ProtectionSettings AsBefore = new(DetectionMs: 150);

    [Fact]
    public async Task PageOfTheStandbySpoilt_IsFoundToldAndMended()
    {
        var result = await lab.RoundAsync("a page of the standby's RAM spoilt", output, async () =>
        {
            await lab.WholeAsync();
            await lab.Vm.SetAsync(Calm);
            try
            {
                await using var round = await Round.BeginAsync(lab, 1);
                var (struck, spoilt, seen) = await FoundAsync();
                output.WriteLine($"{seen.Note}; {PrimaryScrub(seen)!.LastAlarm}");
                Assert.Contains($"0x{SpoiltAddress:x}", PrimaryScrub(seen)!.LastAlarm!, StringComparison.Ordinal);

                await lab.Vm.UntilAsync(
                    v => v.State == "protected" && v.Role?.Standby is { } standby && standby.Incarnation != spoilt.Incarnation
                        && v.Note.Contains("a standby with wrong memory was replaced", StringComparison.Ordinal), "protected by a new standby, and said so", Mended);
                await round.AnsweredAsync();
                var told = await lab.TellsAsync(round.Primary, DateTimeOffset.FromUnixTimeMilliseconds((long)struck.UnixMs), e => e.Kind == EventKinds.ScrubAlarm);
                Assert.Contains($"0x{SpoiltAddress:x}", told.Text, StringComparison.Ordinal);

                // The new standby's memory is good: the guest runs on it, and what the client wrote is there.
                await lab.Vm.TakeOverAsync();
                await round.AnsweredAsync();
                return await round.EndAsync(struck);
            }
            finally
            {
                await lab.Vm.SetAsync(AsBefore);
            }
        });
        Assert.True(result.IsTakeover);
    }

    /// <summary>Spoils the standby, and waits until that is found. A standby that is replaced before its memory has been compared says nothing; the next one is spoilt.</summary>
    private async Task<(StruckFault Struck, Member Spoilt, VmDocument Seen)> FoundAsync()
    {
        for (var attempt = 1; ; attempt++)
        {
            var before = await lab.WholeAsync();
            var (spoilt, known, begun) = (before.Role!.Standby!, Alarms(before), PrimaryScrub(before)?.Rounds ?? 0);
            var struck = Round.Now("a page of the standby's RAM spoilt", spoilt.Host);
            await SpoilAsync(lab.Cluster[spoilt.Host.Value]);
            // From one round's end to the second one after it, every page is compared.
            var seen = await lab.Vm.UntilAsync(
                v => PrimaryScrub(v) is { } scrub && (scrub.Alarms > known || scrub.Rounds >= begun + 2 || IsReplaced(v, spoilt)), "alarmed", Found);
            if (attempt == Attempts || !IsReplaced(seen, spoilt) || Alarms(seen) > known)
            {
                Assert.Equal(known + 1, Alarms(seen));
                return (struck, spoilt, seen);
            }
        }
    }

    private static bool IsReplaced(VmDocument vm, Member standby) => vm.Role?.Standby is { } now && now.Incarnation != standby.Incarnation;

    [Fact]
    [Trait("Suite", "long")]
    public Task CleanPair_AllOfItsRamComparedUnderLoad_RaisesNoAlarm() => RunCleanAsync(rounds: 1);

    [Fact]
    [Trait("Suite", "long")]
    public Task CleanPair_ItsRamComparedTenTimesUnderLoad_RaisesNoAlarm() => RunCleanAsync(rounds: 10);

    private Task RunCleanAsync(long rounds) => lab.RoundAsync("clean pair", output, async () =>
    {
        await using var round = await Round.BeginAsync(lab, 1);
        var begun = PrimaryScrub(await lab.Vm.ShowAsync())?.Rounds ?? 0;
        var struck = Round.Now("none", round.HostOf(Side.Primary));
        var seen = await lab.Vm.UntilAsync(v => PrimaryScrub(v)?.Rounds >= begun + rounds || Alarms(v) > 0, "scrubbed", TimeSpan.FromSeconds(60 * (rounds + 1)));
        Assert.Equal(0, Alarms(seen));
        var compared = seen.KeeperOn(seen.Role!.Standby!.Host)!.Scrub!;
        Assert.True(compared is { Pages: > 0, Alarms: 0 }, $"{compared}");
        output.WriteLine($"{PrimaryScrub(seen)!.Pages} pages hashed, {compared.Pages} compared");
        await round.AnsweredAsync();
        return await round.EndAsync(struck);
    });

    /// <summary>Flips a bit in a page of the guest's RAM as the standby holds it; one that the guest does not write, or it would be mended at once.</summary>
    private async Task SpoilAsync(LabHost standby)
    {
        await Polling.UntilAsync(() => standby.FindQemus(lab.Vm.Name).Count == 1, Mended, () => $"{standby.Name} runs {standby.FindQemus(lab.Vm.Name).Count} QEMUs");
        using var ram = GuestRam.Open(standby.FindQemus(lab.Vm.Name).Single());
        ram.Flip(SpoiltAddress + 100);
    }

    private static long Alarms(VmDocument vm) => PrimaryScrub(vm)?.Alarms ?? 0;

    private static ScrubStatus? PrimaryScrub(VmDocument vm) => vm.KeeperOn(vm.Host)?.Scrub;
}

using Pollux.Cluster.Api;
using Pollux.Cluster.Events;
using Pollux.Lab.Tests.Labs;
using Pollux.Lab.Vms;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>The standby's memory is compared with the primary's while a client works: a clean pair never raises an alarm, a spoilt page always does.</summary>
[Collection(ProtectedLabTests.Name)]
public sealed class ScrubRoundTests(ProtectedLab lab, ITestOutputHelper output)
{
    private static readonly TimeSpan Found = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task PageOfTheStandbySpoilt_IsFoundToldAndMended()
    {
        var result = await lab.RoundAsync("a page of the standby's RAM spoilt", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            var before = await lab.Vm.ShowAsync();
            var struck = Round.Now("a page of the standby's RAM spoilt", round.HostOf(Side.Standby));
            var address = Spoil(round.Standby);
            var seen = await lab.Vm.UntilAsync(v => Alarms(v) == 1, "alarmed", Found);
            output.WriteLine($"{seen.Note}; {seen.Keepers.Select(k => k.Status?.Scrub?.LastAlarm).FirstOrDefault(a => a is not null)}");
            Assert.Contains($"0x{address:x}", PrimaryScrub(seen)!.LastAlarm!, StringComparison.Ordinal);

            var mended = await lab.Vm.UntilAsync(
                v => v.State == "protected" && v.Role?.Standby is { } standby && standby.Incarnation != before.Role!.Standby!.Incarnation, "protected by a new standby", Found);
            Assert.Contains("a standby with wrong memory was replaced", mended.Note, StringComparison.Ordinal);
            await round.AnsweredAsync();
            var told = await lab.TellsAsync(round.Primary, DateTimeOffset.FromUnixTimeMilliseconds((long)struck.UnixMs), e => e.Kind == EventKinds.ScrubAlarm);
            Assert.Contains($"0x{address:x}", told.Text, StringComparison.Ordinal);

            // The new standby's memory is good: the guest runs on it, and what the client wrote is there.
            await lab.Vm.TakeOverAsync();
            await round.AnsweredAsync();
            return await round.EndAsync(struck);
        });
        Assert.True(result.IsTakeover);
    }

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
    private long Spoil(string standby)
    {
        var host = lab.Cluster[standby];
        var qemu = Assert.Single(host.FindQemus(lab.Vm.Name));
        using var ram = GuestRam.Open(qemu);
        // The kernel's text begins at 16 MiB and is never written again.
        const long address = (17 << 20) + (3 * GuestRam.PageBytes);
        ram.Flip(address + 100);
        return address;
    }

    private static long Alarms(VmDocument vm) => PrimaryScrub(vm)?.Alarms ?? 0;

    private static Cluster.Keepers.ScrubStatus? PrimaryScrub(VmDocument vm) => vm.KeeperOn(vm.Host)?.Scrub;
}

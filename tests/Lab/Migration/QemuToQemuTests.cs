using Pollux.Lab.Migration;
using Pollux.Lab.Tests.Breadth;
using Pollux.Lab.Tests.Checkpointing;
using Pollux.Migration.Policies;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Migration;

/// <summary>Real guests, moved from QEMU to QEMU by the two ends that keepers use: what arrives is what left, byte for byte.</summary>
public sealed class QemuToQemuTests(ITestOutputHelper output)
{
    private const ulong EveryOther = 0x5555_5555_5555_5555;

    [KvmFact]
    public async Task GuestUnderKvm_RewritingPages_ArrivesByteForByteAndGoesOn() =>
        await ThereAndBackAsync(await MigrationGuests.Boot32Async(), moves: 10);

    [Fact]
    public async Task LinuxUnderEmulation_DirtyingMemory_ArrivesByteForByteAndGoesOn() =>
        await ThereAndBackAsync(await MigrationGuests.LinuxAsync(), moves: 3);

    [Theory]
    [Trait("Suite", "long")]
    [InlineData("trixie")]
    [InlineData("trixie-backports")]
    public async Task GuestsUnderTheQemuOfALaterDebian_ArriveByteForByteAndGoOn(string suite)
    {
        var qemu = await UnpackedQemu.OfAsync(suite);
        await ThereAndBackAsync(await MigrationGuests.Boot32Async(qemu: qemu), moves: 10);
        await ThereAndBackAsync(await MigrationGuests.LinuxAsync(qemu: qemu), moves: 10);
    }

    [Fact]
    [Trait("Suite", "long")]
    public async Task LinuxUnderEmulation_TenMovesToAndFro_ArrivesByteForByteEachTime() =>
        await ThereAndBackAsync(await MigrationGuests.LinuxAsync("96:40000:random"), moves: 10);

    private async Task ThereAndBackAsync(MovableGuest guest, int moves)
    {
        try
        {
            for (var move = 1; move <= moves; move++)
            {
                var source = guest;
                // In turns: stopped by QEMU's own limit, at once by the policy with much left, and so with every other slice of the RAM waiting until the guest stands.
                var policy = (move % 3) switch
                {
                    1 => new TestPolicy(100),
                    2 => new TestPolicy(1, s => s.SentBytes > 8 << 20 ? new MigrationOrder.SwitchOver(0, "enough") : new MigrationOrder.GoOn()),
                    _ => new TestPolicy(1, s => s.PostponedBytes > 4 << 20 && s.AtMs > 300
                        ? new MigrationOrder.SwitchOver(0, "enough") { PostponedSlices = EveryOther }
                        : new MigrationOrder.GoOn() { PostponedSlices = EveryOther }),
                };
                var moved = await source.MoveAsync(
                    policy, source.Terms(512, 2000, 60), CancellationToken.None, destination => MigrationGuests.AssertEqualRam(source, destination));
                await source.DisposeAsync();
                guest = moved.Destination;
                output.WriteLine($"move {move}: {moved.TotalSeconds:0.00} s, {moved.SentBytes / 1e6:0} MB, paused {moved.PauseMs:0.0} ms (predicted {moved.Switchover.PredictedPauseMs:0.0}), {moved.Samples.Count} samples; {moved.Switchover.Why}");
                await MigrationGuests.UntilGoingOnAsync(guest);
            }
        }
        finally
        {
            await guest.DisposeAsync();
        }
    }
}

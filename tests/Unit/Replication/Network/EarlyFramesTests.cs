using Pollux.Replication.Network;

namespace Pollux.Unit.Tests.Replication.Network;

public sealed class EarlyFramesTests
{
    private readonly List<byte> _given = [];

    private static bool NoneIsOwn(ReadOnlySpan<byte> frame) => false;

    [Fact]
    public void HandOver_TheGuestsOwnBroadcasts_DoNotComeBackToIt()
    {
        byte[] From(byte mac) => [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, mac, 0x08, 0x06];
        var sources = new SourceTable();
        sources.Note(0, From(7));
        using var early = new EarlyFrames();
        early.TryKeep(0, From(7));
        early.TryKeep(0, From(8));

        early.HandOver(frame => sources.Contains(0, frame), frame => _given.Add(frame[11]));

        Assert.Equal([8], _given);
    }

    [Fact]
    public void HandOver_GivesWhatCameJustBefore_InOrder_ThenKeepsNothing()
    {
        using var early = new EarlyFrames();
        Assert.True(early.TryKeep(0, [1]));
        Assert.True(early.TryKeep(0, [2]));

        early.HandOver(NoneIsOwn, frame => _given.Add(frame[0]));

        Assert.Equal([1, 2], _given);
        Assert.False(early.TryKeep(0, [3]));
    }

    [Fact]
    public void TryKeep_MoreThanThereIsRoomFor_ForgetsTheOldest()
    {
        using var early = new EarlyFrames();
        for (var i = 0; i < 1000; i++)
        {
            Assert.True(early.TryKeep(0, [(byte)(i % 251), .. new byte[1499]]));
        }

        early.HandOver(NoneIsOwn, frame => _given.Add(frame[0]));

        Assert.InRange(_given.Count, 150, 180);
        Assert.Equal(999 % 251, _given[^1]);
        Assert.Equal((999 - _given.Count + 1) % 251, _given[0]);
    }

    [Fact]
    public void TryKeep_OnceDisposed_KeepsNothing()
    {
        var early = new EarlyFrames();
        early.Dispose();
        early.Dispose();

        Assert.False(early.TryKeep(0, [1]));
    }
}

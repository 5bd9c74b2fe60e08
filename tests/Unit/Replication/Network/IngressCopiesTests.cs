using Pollux.Core;
using Pollux.Replication.Network;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Replication.Network;

public sealed class IngressCopiesTests
{
    private readonly IngressCopies _copies = new();

    private List<(long Epoch, int Nic, int First)> TakeAll()
    {
        var frames = new List<(long, int, int)>();
        while (_copies.Take() is { } batch)
        {
            frames.AddRange(Entries(batch.Bytes.AsSpan(0, batch.Used)).Select(e => (batch.Epoch.Value, e.Nic, e.First)));
            _copies.Return(batch);
        }
        return frames;
    }

    private static List<(int Nic, int First)> Entries(ReadOnlySpan<byte> batch)
    {
        var entries = new List<(int, int)>();
        while (FrameBatch.TryTake(ref batch, out var nic, out var frame))
        {
            entries.Add((nic, frame[0]));
        }
        return entries;
    }

    [Fact]
    public void Add_WhileNoEpochIsOpen_CopiesNothing()
    {
        Assert.False(_copies.IsOpen);
        Assert.False(_copies.Add(0, [1]));
        Assert.Null(_copies.Take());
    }

    [Fact]
    public void Add_InAnOpenEpoch_IsTakenInOrderUnderThatEpoch()
    {
        _copies.Open(new Epoch(7));
        _copies.Add(0, [1]);
        _copies.Add(1, [2]);

        Assert.Equal([(7, 0, 1), (7, 1, 2)], TakeAll());
    }

    [Fact]
    public void Open_AnEpochLater_WhatFollowsIsUnderThat()
    {
        _copies.Open(new Epoch(7));
        _copies.Add(0, [1]);
        _copies.Open(new Epoch(8));
        _copies.Add(0, [2]);

        Assert.Equal([(7, 0, 1), (8, 0, 2)], TakeAll());
    }

    [Fact]
    public void Add_FasterThanTheLinkTakes_IsDroppedAndCountedAtABound()
    {
        _copies.Open(new Epoch(1));
        var frame = new byte[1514];
        var copied = 0L;
        while (_copies.Dropped == 0)
        {
            copied += _copies.Add(0, frame) ? 1 : 0;
            Assert.True(copied < 10_000, "copies are bounded");
        }

        Assert.Equal(copied, TakeAll().Count);
        Assert.True(_copies.Add(0, frame));
    }

    [Fact]
    public void Close_ForgetsWhatWaits()
    {
        _copies.Open(new Epoch(1));
        _copies.Add(0, [1]);

        _copies.Close();

        Assert.Null(_copies.Take());
        Assert.False(_copies.Add(0, [2]));
    }

    [Fact]
    public void Log_TakeAfter_GivesWhatTheCommitDoesNotContain()
    {
        var log = new IngressLog();
        log.Add(new Epoch(1), [1]);
        log.Add(new Epoch(2), [2]);
        log.Add(new Epoch(2), [3]);
        log.Add(new Epoch(3), [4]);
        log.Committed(new Epoch(1));

        Assert.Equal([[4]], log.TakeAfter(new Epoch(2)));
        Assert.Empty(log.TakeAfter(Epoch.None));
    }

    [Fact]
    public void Log_MoreThanItHolds_ForgetsTheOldestFirst()
    {
        var log = new IngressLog();
        for (var i = 0; i < 20; i++)
        {
            log.Add(new Epoch(i), new byte[1 << 20]);
        }

        var kept = log.TakeAfter(Epoch.None);

        Assert.Equal(8, kept.Count);
    }
}

using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Replication.Scrubbing;
using Pollux.Unit.Tests.Replication.Link;
using Pollux.Simulation.Shipping;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Replication.Scrubbing;

/// <summary>From the primary's RAM file to the standby's image, with the threads and frames between them.</summary>
public sealed class ScrubTests : IDisposable
{
    private const int PageBytes = 4096;
    private const int Pages = 40;
    private const string Block = "ram0";
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"pollux-scrub-{Guid.NewGuid():n}.ram");
    private readonly MemoryMap _guest;
    private readonly RamStreamText _stream = new();
    private readonly ConnectedPair _pair = new(Pages * PageBytes, Block);
    private readonly RamScrubber _scrubber;

    public ScrubTests()
    {
        _guest = MemoryMap.CreateFile(_file, Pages * PageBytes);
        new Random(3).NextBytes(_guest.Span(0, Pages * PageBytes));
        // Every page is due at once.
        _scrubber = new RamScrubber(MemoryMap.OpenReadOnly(_file), TimeSpan.FromTicks(1));
        _stream.Begin((Block, Pages * PageBytes)).Section(3);
        for (var page = 0; page < Pages; page++)
        {
            _stream.Page(Block, (ulong)(page * PageBytes), _guest.Span(page * PageBytes, PageBytes));
        }
        _pair.Ship(0, _stream.EndSection().Cut());
        _pair.WaitApplied(0);
    }

    public void Dispose()
    {
        _pair.Dispose();
        _scrubber.Dispose();
        _guest.Dispose();
        File.Delete(_file);
    }

    [Fact]
    public void Scrub_OfAnImageThatFollows_ComparesAllOfItAndFindsNothing()
    {
        for (var epoch = 1; epoch <= 20; epoch++)
        {
            Ship(epoch, page: epoch);
            _pair.WaitApplied(epoch);
        }
        Assert.Equal(20 * ScrubPlan.PagesPerCutMax, _pair.ScrubbedPages);
        Assert.Equal(_scrubber.Pages, _pair.ScrubbedPages);
        Assert.Null(_pair.ScrubFailure);
    }

    [Fact]
    public void Scrub_OfASpoiltPage_FindsItWithinARoundAndNobodyMayTakeOver()
    {
        const int spoilt = 17;
        _pair.Ram.Span((spoilt * PageBytes) + 1234, 1)[0] ^= 0x10;

        var failure = Record.Exception(() =>
        {
            for (var epoch = 1; epoch <= 3; epoch++)
            {
                Ship(epoch, page: epoch);
                _pair.WaitApplied(epoch);
            }
        });

        Assert.IsType<PolluxException>(failure);
        Assert.Contains($"0x{spoilt * PageBytes:x}", failure.Message, StringComparison.Ordinal);
        Assert.Contains($"0x{spoilt * PageBytes:x}", _pair.ScrubFailure!, StringComparison.Ordinal);
        Assert.Throws<PolluxException>(() => _pair.WaitApplied(0));
    }

    [Fact]
    public void Scrub_OfAPageThatQemuForgot_FindsIt()
    {
        _guest.Span(5 * PageBytes, 1)[0]++;

        Assert.Throws<PolluxException>(() =>
        {
            for (var epoch = 1; epoch <= 2; epoch++)
            {
                Ship(epoch, page: 6);
                _pair.WaitApplied(epoch);
            }
        });
        Assert.Contains($"0x{5 * PageBytes:x}", _pair.ScrubFailure!, StringComparison.Ordinal);
    }

    [Fact]
    public void Scrub_OfAPageOutsideOfTheRam_IsNoMismatch()
    {
        var sample = ScrubSample.Create(KeyedHash.NewSeed(), 1);
        ScrubSample.Set(sample, 0, Pages * PageBytes, 0);
        _pair.Ship(1, _stream.Section(3).EndSection().End().Cut(), sample);

        Assert.Throws<PolluxException>(() => _pair.WaitApplied(1));
        Assert.Null(_pair.ScrubFailure);
    }

    /// <summary>An epoch in which the guest has rewritten one page.</summary>
    private void Ship(long epoch, int page)
    {
        var content = _guest.Span(page * PageBytes, PageBytes);
        content[(int)epoch % PageBytes]++;
        _scrubber.Choose();
        _pair.Ship(epoch, _stream.Section(3).Page(Block, (ulong)(page * PageBytes), content).EndSection().End().Cut(), _scrubber.Take());
    }
}

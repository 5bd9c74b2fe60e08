using Pollux.Lab.Bench.Plots;

namespace Pollux.Unit.Tests.Lab.Bench;

public sealed class AxisTests
{
    [Theory]
    [InlineData(0.9, 1, 6)]
    [InlineData(97, 100, 6)]
    [InlineData(120, 120, 7)]
    [InlineData(0, 1, 6)]
    public void Linear_EndsAtARoundNumber_WithFewTicks(double most, double end, int ticks)
    {
        var axis = Axis.Linear("ms", [most / 2, most]);

        Assert.Equal(0, axis.Least);
        Assert.Equal(end, axis.Most, 6);
        Assert.Equal(ticks, axis.Ticks().Count);
        Assert.Equal(end, axis.Ticks()[^1], 6);
    }

    [Theory]
    [InlineData(0.3, 80, 0.1, 100)]
    [InlineData(1, 1, 1, 10)]
    [InlineData(5, 100, 1, 100)]
    public void Log_EndsAtPowersOfTen(double least, double most, double from, double to)
    {
        var axis = Axis.Log("ms", [least, most, 0]);

        Assert.Equal(from, axis.Least, 9);
        Assert.Equal(to, axis.Most, 9);
    }

    [Fact]
    public void ShareOf_OnALogAxis_GivesEachPowerTheSameRoom()
    {
        var axis = new Axis("ms", 1, 1000, IsLog: true);

        Assert.Equal(1 / 3.0, axis.ShareOf(10), 9);
        Assert.Equal(2 / 3.0, axis.ShareOf(100), 9);
    }

    [Fact]
    public void ShareOf_BeyondTheEnds_StaysOnThem()
    {
        Assert.Equal(0, new Axis("ms", 1, 10, IsLog: true).ShareOf(0));
        Assert.Equal(1, new Axis("ms", 0, 10, IsLog: false).ShareOf(11));
    }
}

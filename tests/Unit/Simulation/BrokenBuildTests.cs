using Pollux.Tests.Broken;

namespace Pollux.Unit.Tests.Simulation;

/// <summary>
/// The proof is proved: each patch in <c>tests/Broken</c> is a mistake that one could make in one place of the product. Built with it, the
/// simulator must break the promise that the patch names. A patch that does not apply any more fails too.
/// </summary>
public sealed class BrokenBuildTests(BrokenCopy copy) : IClassFixture<BrokenCopy>
{
    private const string CaughtBy = "Caught by: ";
    private static readonly string[] InLives = ["--brief", "--seeds", "0..20000"];
    private static readonly string[] InShipments = ["--shipments", "0..300"];

    public static TheoryData<string> Patches => new(
        Directory.EnumerateFiles(Path.Combine(BrokenCopy.Root, "tests", "Broken"), "*.patch").Select(p => Path.GetFileNameWithoutExtension(p)).Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Patches))]
    public void ABuildBrokenOnPurpose_BreaksThePromise(string name)
    {
        var patch = Path.Combine(BrokenCopy.Root, "tests", "Broken", $"{name}.patch");
        var promise = File.ReadLines(patch).First(l => l.StartsWith(CaughtBy, StringComparison.Ordinal))[CaughtBy.Length..];

        var (exit, output) = copy.Run(patch, promise == "TheImageIsTheCommit" ? InShipments : InLives);

        Assert.True(exit == 1 && output.Contains($"BROKEN {promise}:", StringComparison.Ordinal), $"{name} should break {promise}, but the simulator ended with {exit}:\n{output}");
    }
}

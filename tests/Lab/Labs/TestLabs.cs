using Pollux.Lab.Layout;

namespace Pollux.Lab.Tests.Labs;

/// <summary>
/// The names of the labs of one test run. They are the same at every run of a checkout and known to ./test, so that whatever a killed
/// run left goes at the next.
/// </summary>
internal static class TestLabs
{
    internal static LabName Bare { get; } = LabName.Choose(null);

    /// <summary>For tests that build and remove their own.</summary>
    internal static LabName Second { get; } = Numbered(2);

    internal static LabName WithVms { get; } = Numbered(3);

    internal static LabName Demo { get; } = Numbered(4);

    internal static LabName Tortured { get; } = Numbered(5);

    internal static LabName Moving { get; } = Numbered(6);

    private static LabName Numbered(int number)
    {
        const int longest = 9;
        var first = LabName.Choose(null).Value;
        return LabName.Create($"{first[..Math.Min(first.Length, longest)]}{number}");
    }
}

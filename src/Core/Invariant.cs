using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Pollux.Core;

/// <summary>Always-on checks. A broken invariant ends the process: the guest's data comes before the process's life.</summary>
public static class Invariant
{
    /// <summary>Ends the process at once when <paramref name="holds"/> is false.</summary>
    public static void Check([DoesNotReturnIf(false)] bool holds, string what, [CallerArgumentExpression(nameof(holds))] string? expression = null)
    {
        if (!holds)
        {
            Environment.FailFast($"broken invariant: {what} ({expression})");
        }
    }
}

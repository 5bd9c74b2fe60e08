namespace Pollux.Core;

/// <summary>
/// An expected failure: one sentence that says what is wrong with the values in it, and the next step a person can take.
/// Cancellation and broken invariants are never this.
/// </summary>
public class PolluxException(string problem, string? nextStep = null, Exception? cause = null)
    : Exception(nextStep is null ? problem : $"{problem}; {nextStep}", cause)
{
    /// <summary>What is wrong.</summary>
    public string Problem { get; } = problem;

    /// <summary>What the reader can do about it, if anything.</summary>
    public string? NextStep { get; } = nextStep;
}

/// <summary>No answer came: what was asked may have been done, or be done later, or never.</summary>
public class OutcomeUnknownException(string problem, string? nextStep = null, Exception? cause = null) : PolluxException(problem, nextStep, cause);

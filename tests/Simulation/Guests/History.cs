namespace Pollux.Simulation.Guests;

/// <summary>
/// What a guest has gone through: each step has one before it, so that two guests that went apart never share a step again. A frame tells
/// the world of the step at which it was sent, and with it of all before.
/// </summary>
/// <param name="Life">Which start of the VM it belongs to: a cold start forgets everything.</param>
internal sealed record History(History? Before, int Length, int Life)
{
    public static History Begin(int life) => new(null, 0, life);

    public History Next() => new(this, Length + 1, Life);

    /// <summary>Whether <paramref name="earlier"/> is this step or one on the way to it.</summary>
    public bool Contains(History earlier)
    {
        var step = this;
        while (step.Length > earlier.Length)
        {
            step = step.Before!;
        }
        return ReferenceEquals(step, earlier);
    }

    public bool Equals(History? other) => ReferenceEquals(this, other);
    public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(this);
}

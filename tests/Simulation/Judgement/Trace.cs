using System.Globalization;

namespace Pollux.Simulation.Judgement;

/// <summary>The last steps of a life in readable lines. Only kept when a life is looked at: a seed can be lived again.</summary>
internal sealed class Trace(int lines)
{
    private const int RoutineMax = 8;
    private readonly LinkedList<string> _lines = new();
    private readonly Queue<LinkedListNode<string>> _routine = new();

    public Func<double> NowMs { get; set; } = () => 0;

    public void Say(string line)
    {
        _routine.Clear();
        Append(line);
    }

    /// <summary>What happens all the time: of many such lines in a row only the last are kept.</summary>
    public void SayRoutine(string line)
    {
        if (_routine.Count == RoutineMax && _routine.Dequeue() is { List: not null } oldest)
        {
            _lines.Remove(oldest);
        }
        _routine.Enqueue(Append(line));
    }

    public override string ToString() => string.Join('\n', _lines);

    private LinkedListNode<string> Append(string line)
    {
        if (_lines.Count == lines)
        {
            _lines.RemoveFirst();
        }
        return _lines.AddLast(string.Create(CultureInfo.InvariantCulture, $"{NowMs(),11:F3} {line}"));
    }
}

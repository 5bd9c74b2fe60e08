namespace Pollux.Lab.Judgement;

/// <summary>What a client asked of one register and what it was told. Values are numbers; 0 is what it held at the beginning.</summary>
/// <param name="Called">When it was asked, on any monotonic clock that all clients share.</param>
/// <param name="Returned">When the answer was here; <see cref="long.MaxValue"/>: it never came, so it may have been done at any time, or not.</param>
/// <param name="Written">What it shall hold from then on; null: it was only read.</param>
/// <param name="Told">What it held before, as far as the answer says; null: the answer does not say, or never came.</param>
public readonly record struct RegisterOperation(long Called, long Returned, long? Written, long? Told)
{
    public bool IsAnswered => Returned != long.MaxValue;
}

/// <summary>
/// Whether the operations on one register can be put in an order that respects time (an operation that ended before another began comes
/// first) and in which every answer is true: linearizability (Herlihy and Wing 1990), decided by Wing and Gong's search with Lowe's
/// memory of states seen ("Testing for linearizability", 2017). Registers are independent, so each is judged alone.
/// </summary>
public static class RegisterHistory
{
    public static bool IsLinearizable(IReadOnlyList<RegisterOperation> operations)
    {
        var events = new EventList(operations);
        var done = new ulong[(operations.Count + 63) / 64];
        var answeredLeft = operations.Count(o => o.IsAnswered);
        var seen = new HashSet<State>();
        var chosen = new Stack<(int Operation, long Before)>();
        long value = 0;
        var at = events.First;
        while (answeredLeft > 0)
        {
            if (at != EventList.End && events.IsCall(at))
            {
                var operation = operations[events.OperationAt(at)];
                if (operation.Told is not { } told || told == value)
                {
                    var index = events.OperationAt(at);
                    var next = operation.Written ?? value;
                    done[index / 64] |= 1UL << (index % 64);
                    if (seen.Add(new State(done, next)))
                    {
                        chosen.Push((index, value));
                        value = next;
                        answeredLeft -= operation.IsAnswered ? 1 : 0;
                        events.Lift(index);
                        at = events.First;
                        continue;
                    }
                    done[index / 64] &= ~(1UL << (index % 64));
                }
                at = events.Next(at);
                continue;
            }
            // An answer that came before anything else can be done, or nothing left to try: take the last choice back.
            if (!chosen.TryPop(out var last))
            {
                return false;
            }
            value = last.Before;
            done[last.Operation / 64] &= ~(1UL << (last.Operation % 64));
            answeredLeft += operations[last.Operation].IsAnswered ? 1 : 0;
            events.PutBack(last.Operation);
            at = events.Next(events.CallOf(last.Operation));
        }
        return true;
    }

    /// <summary>What was done and what the register then held: coming here a second time leads nowhere new.</summary>
    private readonly struct State(ulong[] done, long value) : IEquatable<State>
    {
        private readonly ulong[] _done = [.. done];
        private readonly long _value = value;

        public bool Equals(State other) => _value == other._value && _done.AsSpan().SequenceEqual(other._done);

        public override bool Equals(object? obj) => obj is State other && Equals(other);

        public override int GetHashCode()
        {
            var hash = new HashCode();
            hash.Add(_value);
            foreach (var word in _done)
            {
                hash.Add(word);
            }
            return hash.ToHashCode();
        }
    }

    /// <summary>Calls and answers in the order of time, as a list from which an operation can be lifted and put back in its place.</summary>
    private sealed class EventList
    {
        internal const int End = -1;
        private readonly int[] _next;
        private readonly int[] _previous;
        private readonly int _count;

        /// <remarks>Events 0…n-1 are the calls, n…2n-1 the answers; 2n is the head. Unanswered ones have no answer in the list.</remarks>
        internal EventList(IReadOnlyList<RegisterOperation> operations)
        {
            _count = operations.Count;
            (_next, _previous) = (new int[2 * _count + 1], new int[2 * _count + 1]);
            var ordered = Enumerable.Range(0, 2 * _count)
                .Where(e => e < _count || operations[e - _count].IsAnswered)
                .OrderBy(e => e < _count ? operations[e].Called : operations[e - _count].Returned)
                // At the same moment the call counts as earlier: the more is allowed.
                .ThenBy(e => e >= _count);
            var last = 2 * _count;
            foreach (var e in ordered)
            {
                (_next[last], _previous[e]) = (e, last);
                last = e;
            }
            _next[last] = End;
            Answered = [.. operations.Select(o => o.IsAnswered)];
        }

        internal int First => _next[2 * _count];

        private bool[] Answered { get; }

        internal int Next(int e) => _next[e];

        internal bool IsCall(int e) => e < _count;

        internal int OperationAt(int e) => e < _count ? e : e - _count;

        internal int CallOf(int operation) => operation;

        internal void Lift(int operation)
        {
            Unlink(operation);
            if (Answered[operation])
            {
                Unlink(operation + _count);
            }
        }

        internal void PutBack(int operation)
        {
            if (Answered[operation])
            {
                Link(operation + _count);
            }
            Link(operation);
        }

        private void Unlink(int e)
        {
            _next[_previous[e]] = _next[e];
            if (_next[e] != End)
            {
                _previous[_next[e]] = _previous[e];
            }
        }

        private void Link(int e)
        {
            _next[_previous[e]] = e;
            if (_next[e] != End)
            {
                _previous[_next[e]] = e;
            }
        }
    }
}

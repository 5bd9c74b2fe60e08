using System.Collections.Concurrent;
using Pollux.Core;

namespace Pollux.Cluster.Events;

/// <summary>
/// Where a process of a host tells what happened. Telling never waits: a thread of its own writes, since the disk may stand still while a
/// guest must not. What does not fit into its queue is counted, and the loss told when the disk goes on.
/// </summary>
/// <param name="path">The host's file; null: nothing is kept.</param>
public sealed class EventJournal : IDisposable
{
    private const int MaxWaiting = 256;
    private static readonly TimeSpan AttemptAgainAfter = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan LastWordsWithin = TimeSpan.FromSeconds(1);
    private readonly BlockingCollection<Happening> _waiting = new(MaxWaiting);
    private readonly string? _path;
    private readonly HostId _host;
    private readonly Action<string> _complain;
    private readonly TimeProvider _clock;
    private readonly Thread _thread;
    private long _lost;

    /// <param name="complain">Hears why events cannot be written.</param>
    public EventJournal(string? path, HostId host, Action<string> complain, TimeProvider? clock = null)
    {
        (_path, _host, _complain, _clock) = (path, host, complain, clock ?? TimeProvider.System);
        _thread = new Thread(Run) { IsBackground = true, Name = "events" };
        _thread.Start();
    }

    public void Tell(VmName? vm, EventDraft draft) => Tell(vm, () => draft);

    public void Tell(VmName? vm, string kind, EventWeight weight, string text) => Tell(vm, new EventDraft(kind, weight, text));

    /// <param name="words">Found later, on the journal's thread; null: it is not worth telling.</param>
    public void Tell(VmName? vm, Func<EventDraft?> words)
    {
        try
        {
            if (!_waiting.TryAdd(new Happening(_clock.GetUtcNow(), vm, words)))
            {
                Interlocked.Increment(ref _lost);
            }
        }
        catch (InvalidOperationException)
        {
            // The process ends; this comes too late.
        }
    }

    /// <summary>Writes what waits, unless the disk stands still.</summary>
    public void Dispose()
    {
        _waiting.CompleteAdding();
        _thread.Join(LastWordsWithin);
    }

    private void Run()
    {
        foreach (var (time, vm, words) in _waiting.GetConsumingEnumerable())
        {
            if (Interlocked.Exchange(ref _lost, 0) is > 0 and var lost)
            {
                Write(new ClusterEvent(time, _host, null, EventKinds.EventsLost, EventWeight.Warning, $"{lost} events were lost: the disk was slower than they came"));
            }
            if (DraftOf(words) is { } draft)
            {
                Write(new ClusterEvent(time, _host, vm, draft.Kind, draft.Weight, draft.Text, draft.Figures));
            }
        }
    }

    /// <summary>A fault in finding words is no reason to end a keeper.</summary>
    private EventDraft? DraftOf(Func<EventDraft?> words)
    {
        try
        {
            return words();
        }
        catch (Exception fault)
        {
            _complain($"an event cannot be told: {fault}");
            return null;
        }
    }

    private void Write(ClusterEvent e)
    {
        if (_path is null)
        {
            return;
        }
        try
        {
            if (!EventKinds.OfAttempts.Contains(e.Kind) || !EventFile.HoldsLately(_path, e, e.Time - AttemptAgainAfter))
            {
                EventFile.Append(_path, e);
            }
        }
        catch (Exception failure) when (failure is PolluxException or IOException or UnauthorizedAccessException)
        {
            _complain($"an event cannot be written: {failure.Message}");
        }
    }

    private readonly record struct Happening(DateTimeOffset Time, VmName? Vm, Func<EventDraft?> Words);
}

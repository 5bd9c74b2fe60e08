using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Time;

namespace Pollux.Simulation.Store;

/// <summary>
/// The way to the store, as the client of etcd behaves (EtcdRace, SwapJudge): requests and answers are late, lost or repeated, one by one;
/// what is not answered within two seconds has an unknown outcome, and may be carried out much later all the same.
/// </summary>
internal sealed class StoreCalls(VirtualTime time, Random random, SimulatedStore store, VmName vm)
{
    private const double DeadlineMs = 2_000;
    private const double AgainAfterMs = 250;
    private const int CopiesAtOnce = 3;
    private const int CopiesMax = 6;
    private readonly HashSet<HostId> _cutTo = [];
    private readonly HashSet<HostId> _cutFrom = [];
    private readonly List<Action> _waiting = [];

    /// <summary>How many of a hundred requests, and of as many answers, are lost or much too late.</summary>
    public int Unreliable { get; set; }

    public void Cut(HostId host, bool to, bool from)
    {
        if (to)
        {
            _cutTo.Add(host);
        }
        if (from)
        {
            _cutFrom.Add(host);
        }
    }

    public void Heal(HostId host)
    {
        _cutTo.Remove(host);
        _cutFrom.Remove(host);
    }

    public bool IsReachable(HostId host) => store.HasQuorum && !_cutTo.Contains(host) && !_cutFrom.Contains(host);

    /// <summary>The store can decide again: what has waited for that is carried out, or was given up.</summary>
    public void FindQuorum()
    {
        store.FindQuorum();
        var waiting = _waiting.ToList();
        _waiting.Clear();
        foreach (var request in waiting.Where(_ => random.Next(3) > 0))
        {
            time.After(random.NextDouble() * 50, request);
        }
    }

    /// <summary>A request that does no harm when it is carried out twice.</summary>
    public void Ask<T>(SimulatedProcess from, Func<T> carryOut, Action<T> answered, Action<string> failed)
    {
        var open = true;
        void Answer(T answer)
        {
            if (open)
            {
                open = false;
                answered(answer);
            }
        }
        void Copy(int number)
        {
            if (!open)
            {
                return;
            }
            Send(from, carryOut, Answer);
            if (number < CopiesMax)
            {
                from.After(AgainAfterMs, () => Copy(number + 1));
            }
        }
        Copy(1);
        from.After(DeadlineMs, () =>
        {
            if (open)
            {
                open = false;
                failed("no answer in 2 s");
            }
        });
    }

    /// <summary>Reads the key's revision, then writes if it is still that one, as EtcdStore.PutAsync does.</summary>
    public void Put(SimulatedProcess from, Func<long> revision, Func<long, PutOutcome> put, Action<bool> done, Action<string> failed) =>
        Ask(from, revision, at => Ask(from, () => put(at), outcome =>
        {
            if (outcome == PutOutcome.Changed)
            {
                Put(from, revision, put, done, failed);
            }
            else
            {
                done(outcome == PutOutcome.Done);
            }
        }, failed), failed);

    /// <summary>A swap of the role in identical copies, judged by the product's own judge.</summary>
    public void Swap(SimulatedProcess from, Role next, long expectedRevision, Action<SwapOutcome> decided)
    {
        var swap = new Swap(StoreKeys.Role(vm), expectedRevision, next.ToJson(), StoreKeys.Host(from.Host.Id));
        var judge = new SwapJudge(swap);
        var open = true;
        var unanswered = 0;
        void Answer(TxnAnswer answer)
        {
            unanswered--;
            if (open && (judge.Hear(answer) ?? (unanswered == 0 ? judge.AfterAll() : null)) is { } outcome)
            {
                open = false;
                decided(outcome);
            }
        }
        void Copy(int number)
        {
            if (!open || (number > CopiesAtOnce && unanswered == 0))
            {
                return;
            }
            unanswered++;
            Send(from, () => store.SwapRole(swap), Answer);
            if (number < CopiesAtOnce)
            {
                Copy(number + 1);
            }
            else if (number < CopiesMax)
            {
                from.After(AgainAfterMs, () => Copy(number + 1));
            }
        }
        Copy(1);
        from.After(DeadlineMs, () =>
        {
            if (open)
            {
                open = false;
                judge.Hear(new EtcdFailure(EtcdFailureKind.NoAnswer, "no answer in 2 s"));
                decided(judge.AfterAll());
            }
        });
    }

    private void Send<T>(SimulatedProcess from, Func<T> carryOut, Action<T> answered)
    {
        var host = from.Host.Id;
        if (_cutTo.Contains(host))
        {
            if (random.Next(4) == 0)
            {
                time.After(random.NextDouble() * 8_000, () => Arrive(from, carryOut, answered)); // TCP tries again
            }
            return;
        }
        if (random.Next(100) < Unreliable)
        {
            if (random.Next(2) == 0)
            {
                return;
            }
            time.After(random.NextDouble() * 5_000, () => Arrive(from, carryOut, answered));
            return;
        }
        time.After(Way(), () => Arrive(from, carryOut, answered));
    }

    private void Arrive<T>(SimulatedProcess from, Func<T> carryOut, Action<T> answered)
    {
        if (_cutTo.Contains(from.Host.Id))
        {
            return;
        }
        if (!store.HasQuorum)
        {
            _waiting.Add(() => Arrive(from, carryOut, answered));
            return;
        }
        var answer = carryOut();
        if (_cutFrom.Contains(from.Host.Id) || random.Next(100) < Unreliable)
        {
            return;
        }
        time.After(Way(), () =>
        {
            if (!_cutFrom.Contains(from.Host.Id))
            {
                from.Soon(() => answered(answer));
            }
        });
    }

    /// <summary>One way to a member and through its log, ms.</summary>
    private double Way() => 0.1 + (random.NextDouble() * (random.Next(20) == 0 ? 20 : 1));
}

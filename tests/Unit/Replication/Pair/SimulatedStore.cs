using Pollux.Replication.Pair;

namespace Pollux.Unit.Tests.Replication.Pair;

/// <summary>The role key. A request may be carried out long after its sender gave up waiting for the answer.</summary>
internal sealed class SimulatedStore
{
    private readonly List<PendingSwap> _late = [];

    public Role? Role { get; private set; }
    public long Revision { get; private set; }
    public int Late => _late.Count;

    public bool TrySwap(PendingSwap swap)
    {
        if (swap.ExpectedRevision != Revision)
        {
            return false;
        }
        Role = swap.Next;
        Revision++;
        return true;
    }

    public void PutOff(PendingSwap swap) => _late.Add(swap);

    public void CarryOutLate(int which)
    {
        TrySwap(_late[which]);
        _late.RemoveAt(which);
    }
}

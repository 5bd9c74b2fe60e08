using System.Text;

namespace Pollux.Cluster.Store;

/// <summary>
/// Decides a swap from the answers to its identical copies (pure). The transaction's failure branch reads the key, so one
/// answer tells a copy's success, another's success and a loss apart:
/// <list type="bullet">
/// <item>the value is ours, by this copy or an earlier one: won. The value carries a nonce, so nobody else wrote it;</item>
/// <item>the revision has moved on: lost for good, since no copy can match the old revision any more;</item>
/// <item>the revision is as expected, so the required key is missing: lost only when no copy can still arrive after that key
/// has come back, that is when every copy was answered or never left. Otherwise unknown.</item>
/// </list>
/// </summary>
internal sealed class SwapJudge(Swap swap)
{
    private readonly byte[] key = EtcdKey.Of(swap.Key);
    private readonly byte[] value = Encoding.UTF8.GetBytes(swap.Value);
    private readonly List<string> failures = [];
    private SwapOutcome.Lost? withoutLease;
    private bool mayStillArrive;

    internal TxnRequest Request()
    {
        var compares = new List<Compare> { new(key, "MOD", "EQUAL", ModRevision: swap.ExpectedModRevision) };
        if (swap.RequiredKey is { } required)
        {
            compares.Add(new Compare(EtcdKey.Of(required), "VERSION", "GREATER", Version: 0));
        }

        var put = new PutRequest(key, value, swap.LeaseId == 0 ? null : swap.LeaseId);
        return new TxnRequest([.. compares], [new RequestOp(RequestPut: put)], [new RequestOp(RequestRange: new RangeRequest(key))]);
    }

    /// <summary>The outcome if this answer decides it, else null.</summary>
    internal SwapOutcome? Hear(TxnAnswer answer)
    {
        if (answer.Succeeded)
        {
            return new SwapOutcome.Won(answer.Header?.Revision ?? 0);
        }

        var current = answer.Responses is [{ ResponseRange.Kvs: [var kv, ..] }, ..] ? kv : null;
        if (current is not null && current.Lease == swap.LeaseId && value.AsSpan().SequenceEqual(current.Value))
        {
            return new SwapOutcome.Won(current.ModRevision);
        }

        var lost = new SwapOutcome.Lost(current?.ToEntry(), LeaseGone: (current?.ModRevision ?? 0) == swap.ExpectedModRevision);
        if (!lost.LeaseGone)
        {
            return lost;
        }

        withoutLease = lost;
        return null;
    }

    internal SwapOutcome? Hear(EtcdFailure failure)
    {
        failures.Add(failure.Message);
        if (failure is { Kind: EtcdFailureKind.Refused, Code: EtcdFailure.NotFound })
        {
            // "requested lease not found": the lease that the value was to be bound to is gone, and its id never comes back.
            return new SwapOutcome.Lost(null, LeaseGone: true);
        }

        mayStillArrive |= failure.Kind != EtcdFailureKind.NotSent;
        return null;
    }

    /// <summary>The outcome when every copy was answered or given up and none decided.</summary>
    internal SwapOutcome AfterAll() => withoutLease is not null && !mayStillArrive
        ? withoutLease
        : new SwapOutcome.Unknown(string.Join(", ", failures.Distinct()));
}

using System.Globalization;
using System.Net.NetworkInformation;

namespace Pollux.Lab.Judgement;

/// <summary>What a judge of beacons found.</summary>
/// <param name="Heard">How many different numbers the switch saw.</param>
public sealed record BeaconVerdict(IReadOnlyList<string> Complaints, int Heard)
{
    public bool IsClean => Complaints.Count == 0;
}

/// <summary>
/// Judges what a guest said against itself and against what it remembers. A guest that said something and was then set back to a time
/// before says the same number again with another word: the first one left before its commit. The guest that is left at the end
/// must remember every word that ever left, under its number.
/// </summary>
public static class BeaconJudge
{
    private const int MaxComplaints = 20;

    /// <param name="vm">The VM's MAC address.</param>
    /// <param name="frames">What each host's port let into the switch.</param>
    /// <param name="memory">What the guest remembered after the last of them: the words from <paramref name="first"/> on.</param>
    public static BeaconVerdict Judge(PhysicalAddress vm, IEnumerable<SwitchFrame> frames, ulong first, IReadOnlyList<ulong> memory)
    {
        var complaints = new List<string>();
        var heard = new Dictionary<ulong, (ulong Word, SwitchFrame Frame)>();
        foreach (var frame in frames.Where(f => f.IsFrom(vm)).OrderBy(f => f.UnixMs))
        {
            if (Beacon.TryParse(frame.Bytes) is not { } said)
            {
                continue;
            }
            if (!heard.TryAdd(said.Number, (said.Word, frame)) && heard[said.Number].Word != said.Word)
            {
                Complain(frame, $"says number {said.Number} with another word than {heard[said.Number].Frame.Host} {frame.UnixMs - heard[said.Number].Frame.UnixMs:0.000} ms before: that one left before its commit");
            }
        }
        foreach (var (number, (word, frame)) in heard.Where(h => h.Key >= first).OrderBy(h => h.Key))
        {
            if (number - first >= (ulong)memory.Count)
            {
                Complain(frame, $"said number {number}, and the guest remembers none beyond {first + (ulong)memory.Count}");
            }
            else if (memory[(int)(number - first)] != word)
            {
                Complain(frame, $"said number {number} with a word that the guest does not remember");
            }
        }
        return new BeaconVerdict(complaints, heard.Count);

        void Complain(SwitchFrame frame, string what)
        {
            if (complaints.Count < MaxComplaints)
            {
                complaints.Add(string.Create(CultureInfo.InvariantCulture, $"at {frame.UnixMs:0.000} ms host {frame.Host} {what}"));
            }
        }
    }
}

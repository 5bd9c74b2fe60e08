using Pollux.Replication.Network;

namespace Pollux.Unit.Tests.Replication.Network;

public sealed class SourceTableTests
{
    private static byte[] Frame(byte source, params byte[] afterAddresses)
    {
        var frame = new byte[64];
        frame[11] = source;
        frame[6] = 0x52;
        afterAddresses.CopyTo(frame, 12);
        return frame;
    }

    [Fact]
    public void Note_TellsNewSourcesFromKnownOnes_ByNicAddressAndVlan()
    {
        var table = new SourceTable();

        Assert.True(table.Note(0, Frame(1)));
        Assert.False(table.Note(0, Frame(1)));
        Assert.True(table.Note(1, Frame(1)));
        Assert.True(table.Note(0, Frame(2)));
        Assert.True(table.Note(0, Frame(1, 0x81, 0x00, 0x00, 0x07)));
        Assert.False(table.Note(0, Frame(1, 0x81, 0x00, 0xe0, 0x07))); // another priority, the same VLAN
        Assert.False(table.Note(0, new byte[13]));
    }

    [Fact]
    public void Note_MoreThanSwitchesNeed_IsBounded()
    {
        var table = new SourceTable();
        for (var i = 0; i < 10_000; i++)
        {
            var frame = Frame((byte)i);
            frame[10] = (byte)(i >> 8);
            table.Note(0, frame);
        }

        Assert.Equal(256 * SourceTable.EntryBytes, table.ToBytes().Length);
    }

    [Fact]
    public void Merge_OfWhatAnotherSaw_AnnouncesTheSame()
    {
        var table = new SourceTable();
        table.Note(3, Frame(1));
        table.Note(0, Frame(2, 0x81, 0x00, 0x01, 0x07));
        var other = new SourceTable();

        other.Merge(table.ToBytes());
        other.Merge([1, 2, 3]); // cut short: ignored

        Assert.Equal(table.Announcements().Select(a => (a.Nic, Convert.ToHexString(a.Frame))).Order(), other.Announcements().Select(a => (a.Nic, Convert.ToHexString(a.Frame))).Order());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Announcements_AreRarpRequestsOfTheSourceForItself(bool tagged)
    {
        var table = new SourceTable();
        table.Note(2, tagged ? Frame(9, 0x81, 0x00, 0x01, 0x07) : Frame(9));

        var (nic, frame) = Assert.Single(table.Announcements());

        Assert.Equal(2, nic);
        Assert.StartsWith("FFFFFFFFFFFF" + "520000000009" + (tagged ? "81000107" : "") + "8035" + "0001080006040003" + "520000000009" + "00000000" + "520000000009", Convert.ToHexString(frame), StringComparison.Ordinal);
        Assert.Equal(tagged ? 64 : 60, frame.Length);
    }
}

using System.Buffers.Binary;
using static Pollux.Wire.Migration.MigrationFormat;

namespace Pollux.Wire.Migration;

/// <summary>What an initial stream says before its first page: header, configuration, and the list of blocks.</summary>
public sealed partial class RamStreamScanner
{
    private bool _ignoreShared; // entries of the block list carry an address
    private uint _capabilitiesLeft;
    private ulong _listLeft;    // bytes of guest memory whose blocks the list has yet to name
    private string _listName = "";

    /// <summary>The fields before the first page: file header, configuration, the head of the RAM section.</summary>
    private void ReadHead(ReadOnlySpan<byte> field)
    {
        switch (_state)
        {
            case State.FileHeader:
                Check(BinaryPrimitives.ReadUInt64BigEndian(field) == ((ulong)Magic << 32 | MigrationFormat.Version), "the header 'QEVM' of version 3", Hex(field));
                Await(State.ConfigurationType);
                break;
            case State.ConfigurationType:
                Check(field[0] == Configuration, "the configuration section", $"section type {field[0]}");
                Await(State.MachineLength);
                break;
            case State.MachineLength:
                var length = BinaryPrimitives.ReadUInt32BigEndian(field);
                Check(length is > 0 and <= byte.MaxValue, "a machine type of 1 to 255 bytes", length);
                Await(State.Machine, (int)length);
                break;
            case State.Machine:
                MachineType = Text(field);
                Await(State.AfterConfiguration);
                break;
            case State.AfterConfiguration when field[0] == Subsection:
                Await(State.SubsectionNameLength);
                break;
            case State.AfterConfiguration:
                ReadSectionType(field[0]);
                break;
            case State.StartId:
                _ramSection = BinaryPrimitives.ReadUInt32BigEndian(field);
                Await(State.StartNameLength);
                break;
            case State.StartNameLength:
                Await(State.StartName, NameLength(field[0]));
                break;
            case State.StartName:
                Check(field.SequenceEqual(RamSectionName), "the section 'ram'", $"'{Text(field)}'");
                Await(State.StartVersion);
                break;
            case State.StartVersion:
                var version = BinaryPrimitives.ReadUInt32BigEndian(field[4..]);
                Check(version == RamSectionVersion, $"version {RamSectionVersion} of the RAM section", version);
                Await(State.RamRecord);
                break;
            default:
                ReadSubsection(field);
                break;
        }
    }

    /// <summary>Subsections of the configuration: which capabilities the source has on, its page size, its UUID.</summary>
    private void ReadSubsection(ReadOnlySpan<byte> field)
    {
        switch (_state)
        {
            case State.SubsectionNameLength:
                Await(State.SubsectionName, NameLength(field[0]));
                break;
            case State.SubsectionName when field.SequenceEqual(CapabilitiesSubsection):
                Await(State.CapabilityCount);
                break;
            case State.SubsectionName when field.SequenceEqual(PageBitsSubsection):
                Await(State.PageBits);
                break;
            case State.SubsectionName when field.SequenceEqual(UuidSubsection):
                Await(State.Uuid);
                break;
            case State.SubsectionName:
                Fail("a known subsection of the configuration", $"'{Text(field)}'");
                break;
            case State.CapabilityCount:
                _capabilitiesLeft = BinaryPrimitives.ReadUInt32BigEndian(field[4..]);
                Check(_capabilitiesLeft <= byte.MaxValue, "at most 255 capabilities", _capabilitiesLeft);
                Await(_capabilitiesLeft == 0 ? State.AfterConfiguration : State.CapabilityNameLength);
                break;
            case State.CapabilityNameLength:
                Await(State.CapabilityName, NameLength(field[0]));
                break;
            case State.CapabilityName:
                _ignoreShared |= field.SequenceEqual(IgnoreShared);
                _capabilitiesLeft--;
                Await(_capabilitiesLeft == 0 ? State.AfterConfiguration : State.CapabilityNameLength);
                break;
            case State.PageBits:
                var bits = BinaryPrimitives.ReadUInt32BigEndian(field[4..]);
                Check(bits == 12, "pages of 4096 bytes", $"2^{bits}");
                Await(State.AfterConfiguration);
                break;
            default:
                Await(State.AfterConfiguration);
                break;
        }
    }

    /// <summary>name, be64 length, and with x-ignore-shared be64 address, until the lengths add up.</summary>
    private void ReadBlockList<TSink>(scoped ReadOnlySpan<byte> field, ref TSink sink) where TSink : IRamSink, allows ref struct
    {
        switch (_state)
        {
            case State.ListNameLength:
                Check(_blocks.Count < MaxBlocks, $"at most {MaxBlocks} blocks", "more");
                Await(State.ListName, NameLength(field[0]));
                break;
            case State.ListName:
                _listName = Text(field);
                Check(IndexOf(field) < 0, "each block once", $"'{_listName}' again");
                _names.Add(field.ToArray());
                Await(State.ListLength, _ignoreShared ? 16 : 8);
                break;
            default:
                var length = BinaryPrimitives.ReadUInt64BigEndian(field);
                Check(length > 0 && length <= _listLeft, $"a block of 1 to {_listLeft} bytes", length);
                _listLeft -= length;
                _blocks.Add(new RamBlock(_listName, length));
                sink.OnBlock(_blocks.Count - 1, _listName, length);
                Await(_listLeft == 0 ? State.RamRecord : State.ListNameLength);
                break;
        }
    }
}

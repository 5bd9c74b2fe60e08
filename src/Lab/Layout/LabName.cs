using Pollux.Core;
using Pollux.Linux.Cgroups;

namespace Pollux.Lab.Layout;

/// <summary>
/// A lab's name, and every name derived from it: labs side by side share nothing, and what a killed one left is found by name.
/// 1–10 of <c>a-z 0-9</c>, starting with a letter; no '-', so that no lab's prefix is the beginning of another's.
/// </summary>
public sealed record LabName
{
    public const string Default = "lab";

    /// <summary>The variable that names the lab when no option does.</summary>
    public const string Variable = "POLLUX_LAB";

    private const string Root = "/run/pollux-lab";
    private const int MaxLength = 10;

    private LabName(string value) => Value = value;

    public string Value { get; }

    /// <summary>A tmpfs of the lab's own: certificates, logs, and what the hosts' disks hold.</summary>
    public string StateDirectory => Path.Combine(Root, Value);

    public string PlanFile => Path.Combine(StateDirectory, "plan.json");

    public string AuthorityDirectory => Path.Combine(StateDirectory, "authority");

    public string NamespacePrefix => $"plx-{Value}-";

    /// <summary>The namespace of the switch, with the bridges <c>lan</c> and <c>mgmt</c> and two ports for each host.</summary>
    public string SwitchNamespace => NamespacePrefix + "switch";

    public string ClientNamespace => NamespacePrefix + "client";

    public ControlGroup Cgroup => new ControlGroup(ControlGroup.Mount).Child("pollux-lab").Child(Value);

    /// <summary>Helpers of the lab that are part of no host: captures.</summary>
    public ControlGroup ToolsCgroup => Cgroup.Child("tools");

    public string NamespaceOf(LabMember member) => NamespacePrefix + member.Name;

    public string DirectoryOf(LabMember member) => Path.Combine(StateDirectory, "hosts", member.Name.Value);

    /// <summary>What power-off kills and freeze stops: everything of the host.</summary>
    public ControlGroup CgroupOf(LabMember member) => Cgroup.Child(member.Name.Value);

    /// <exception cref="PolluxException">Not a lab's name.</exception>
    public static LabName Create(string value) =>
        value.Length is > 0 and <= MaxLength && value[0] is >= 'a' and <= 'z' && value.All(c => c is >= 'a' and <= 'z' or >= '0' and <= '9')
            ? new LabName(value)
            : throw new PolluxException($"'{value}' is not a lab's name", $"use 1 to {MaxLength} of a-z and 0-9, starting with a letter");

    /// <summary>The given name, else the variable's, else the default.</summary>
    public static LabName Choose(string? given) => Create(given ?? Environment.GetEnvironmentVariable(Variable) ?? Default);

    /// <summary>What a command of the lab's must be given to mean this one; empty for the one that it means anyway.</summary>
    public string AsOption => this == Choose(null) ? "" : $" --name {Value}";

    public override string ToString() => Value;
}

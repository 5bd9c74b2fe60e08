using System.Globalization;
using System.Text;
using Pollux.Cluster.Security;
using Pollux.Lab.Layout;

namespace Pollux.Lab.Hosts;

/// <summary>What a host finds at power-on: its certificates, its agent's configuration, and the list of its services.</summary>
internal sealed class HostFiles(LabPlan plan, LabPrograms programs, LabOptions asked)
{
    internal const int AgentPort = 7080;
    internal const int MetricsPort = 9464;
    internal const int LeaseSeconds = 5;

    /// <summary>For a LAN: etcd sends heartbeats every 50 ms and elects anew after this silence.</summary>
    private const int ElectionMs = 500;

    /// <summary>As the host sees it; see <see cref="LabHost.FaultPoints"/>.</summary>
    internal const string FaultPointsDirectory = "/run/pollux/faults";
    private const string TlsDirectory = "/etc/pollux/tls";

    /// <summary>Writes the member's directory in the lab's state. What its disk holds stays.</summary>
    internal void Write(LabMember member, ClusterAuthority authority)
    {
        var directory = plan.Lab.DirectoryOf(member);
        foreach (var part in new[] { "disk", "log", "mount", "etc/tls" })
        {
            Directory.CreateDirectory(Path.Combine(directory, part));
        }
        authority.Issue(member.Name.Value, [member.Address], Path.Combine(directory, "etc/tls"));
        File.WriteAllText(Path.Combine(directory, "services"), Services(member));
        File.WriteAllText(Path.Combine(directory, "init.sh"), InitScript());
        if (!member.IsWitness)
        {
            File.WriteAllText(Path.Combine(directory, "etc/agent.yaml"), AgentYaml(member));
        }
    }

    private static string InitScript()
    {
        using var script = typeof(HostFiles).Assembly.GetManifestResourceStream("host-init.sh")!;
        using var reader = new StreamReader(script);
        return reader.ReadToEnd();
    }

    private string Services(LabMember member)
    {
        var text = new StringBuilder("export DOTNET_EnableDiagnostics=0\n");
        text.Append(CultureInfo.InvariantCulture, $"export PATH='{programs.BinDirectory}':$PATH\n");
        if (plan.Voters.Contains(member))
        {
            text.Append("keep etcd ").AppendJoin(' ', EtcdCommand(member).Select(Quoted)).Append(" &\n");
        }
        if (asked.WithAgents && !member.IsWitness)
        {
            text.Append(CultureInfo.InvariantCulture, $"keep polluxd {Quoted(programs.Agent)} &\n");
        }
        return text.ToString();
    }

    private IEnumerable<string> EtcdCommand(LabMember member)
    {
        var cluster = string.Join(',', plan.Voters.Select(v => $"{v.Name}={v.EtcdPeerUrl}"));
        return
        [
            programs.Etcd, "--name", member.Name.Value, "--data-dir", "/run/host/disk/etcd",
            "--listen-client-urls", member.EtcdClientUrl, "--advertise-client-urls", member.EtcdClientUrl,
            "--listen-peer-urls", member.EtcdPeerUrl, "--initial-advertise-peer-urls", member.EtcdPeerUrl,
            "--initial-cluster", cluster, "--initial-cluster-token", plan.Lab.NamespacePrefix + "etcd", "--initial-cluster-state", "new",
            "--client-cert-auth", "--trusted-ca-file", $"{TlsDirectory}/ca.crt",
            "--cert-file", $"{TlsDirectory}/host.crt", "--key-file", $"{TlsDirectory}/host.key",
            "--peer-client-cert-auth", "--peer-trusted-ca-file", $"{TlsDirectory}/ca.crt",
            "--peer-cert-file", $"{TlsDirectory}/host.crt", "--peer-key-file", $"{TlsDirectory}/host.key",
            "--heartbeat-interval", "50", "--election-timeout", ElectionMs.ToString(CultureInfo.InvariantCulture),
            "--logger", "zap", "--log-level", "warn",
        ];
    }

    private string AgentYaml(LabMember member) => string.Create(CultureInfo.InvariantCulture, $"""
        # Written by pollux lab; see the agent's documentation for the meaning of each line.
        host: {member.Name}
        address: {member.Address}
        apiPort: {AgentPort}
        etcd: [{string.Join(", ", plan.Voters.Select(v => $"\"{v.EtcdClientUrl}\""))}]
        witness: [{string.Join(", ", plan.Witnesses.Select(w => w.Name))}]
        tls:
          ca: {TlsDirectory}/ca.crt
          certificate: {TlsDirectory}/host.crt
          key: {TlsDirectory}/host.key
        qemu: "{asked.Qemu ?? "qemu-system-x86_64"}"
        tcgShim: "{programs.TcgShim}"
        keeper: "{asked.Keeper ?? programs.Keeper}"
        cgroupRoot: "{plan.Lab.CgroupOf(member).Path}"
        runDirectory: /run/pollux
        stateDirectory: /run/host/disk/pollux
        metrics: {member.Address}:{MetricsPort}
        ramDirectory: /dev/shm
        leaseSeconds: {LeaseSeconds}
        faultPoints: {FaultPointsDirectory}

        """);

    private static string Quoted(string word) => "'" + word.Replace("'", "'\\''", StringComparison.Ordinal) + "'";
}

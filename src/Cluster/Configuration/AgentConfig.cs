using System.Globalization;
using System.Net;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using YamlDotNet.Core;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace Pollux.Cluster.Configuration;

/// <summary>What <c>/etc/pollux/agent.yaml</c> says. Paths are absolute.</summary>
/// <param name="Address">The IP address of this host on the cluster's network.</param>
/// <param name="Witnesses">Hosts that only vote: etcd's leader is best there.</param>
/// <param name="Cgroup">An existing cgroup2 directory below which VMs live; null: none.</param>
/// <param name="LeaseSeconds">How long this host counts as alive after its last word to the store.</param>
/// <param name="StateDirectory">What outlives a reboot: the host's events.</param>
/// <param name="Metrics">Where plain HTTP serves metrics and nothing else; null: only the socket and the API do.</param>
/// <param name="FaultPoints">A directory in which tests arm its keepers' fault points; null on every real host.</param>
public sealed partial record AgentConfig(
    HostId Host,
    string Address,
    int ApiPort,
    IReadOnlyList<string> Etcd,
    IReadOnlyList<string> Witnesses,
    TlsFiles Tls,
    string Qemu,
    string? TcgShim,
    string Keeper,
    string? Cgroup,
    string RunDirectory,
    string RamDirectory,
    int LeaseSeconds,
    string? FaultPoints = null,
    string StateDirectory = AgentConfig.DefaultStateDirectory,
    IPEndPoint? Metrics = null)
{
    public const string DefaultStateDirectory = "/var/lib/pollux";
    public const string DefaultFile = "/etc/pollux/agent.yaml";

    public string Socket => Path.Combine(RunDirectory, "polluxd.sock");
    public string EventsFile => Path.Combine(StateDirectory, "events.jsonl");
    public string VmsDirectory => Path.Combine(RunDirectory, "vms");
    public string DirectoryOf(VmName vm) => Path.Combine(VmsDirectory, vm.Value);

    /// <exception cref="PolluxException">The file is missing or wrong; names the place and the fix.</exception>
    public static AgentConfig Read(string file)
    {
        string text;
        try
        {
            text = File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PolluxException($"{file} cannot be read: {e.Message}", "write it, or name another with --config", e);
        }
        try
        {
            var read = new DeserializerBuilder().WithNamingConvention(CamelCaseNamingConvention.Instance).Build().Deserialize<Text>(text)
                ?? throw new PolluxException($"{file} is empty", "see docs/agent.md");
            return read.Check((member, problem, fix) => new PolluxException($"{file}{LineOf(text, member)}: {problem}", fix));
        }
        catch (YamlException e)
        {
            throw new PolluxException($"{file}:{e.Start.Line}: {Describe(e)}", "see docs/agent.md", e);
        }
    }

    /// <summary>Where a member of the file is, as <c>:LINE</c>; nothing when it is not there.</summary>
    private static string LineOf(string text, string member)
    {
        var line = Array.FindIndex(text.Split('\n'), l => l.StartsWith(member + ":", StringComparison.Ordinal));
        return line < 0 ? "" : string.Create(CultureInfo.InvariantCulture, $":{line + 1}");
    }

    /// <summary>The reader's words for what it could not place speak of types.</summary>
    private static string Describe(YamlException e) => e.Message switch
    {
        var m when UnknownMember().Match(m) is { Success: true } match => $"'{match.Groups[1].Value}' is no member here",
        var m when m.Contains("deserializer", StringComparison.Ordinal) => "a value of another kind is expected here",
        _ => e.InnerException?.Message ?? e.Message,
    };

    [System.Text.RegularExpressions.GeneratedRegex("Property '([^']*)' not found")]
    private static partial System.Text.RegularExpressions.Regex UnknownMember();

    /// <summary>The file as it is written.</summary>
    private sealed class Text
    {
        public string? Host { get; set; }
        public string? Address { get; set; }
        public int ApiPort { get; set; } = 7443;
        public List<string>? Etcd { get; set; }
        public List<string>? Witness { get; set; }
        public TlsText? Tls { get; set; }
        public string Qemu { get; set; } = "qemu-system-x86_64";
        public string? TcgShim { get; set; }
        public string Keeper { get; set; } = "/usr/lib/pollux/pollux-keeper";
        public string? CgroupRoot { get; set; }
        public string RunDirectory { get; set; } = "/run/pollux";
        public string RamDirectory { get; set; } = "/dev/shm";
        public string StateDirectory { get; set; } = DefaultStateDirectory;
        public string? Metrics { get; set; }
        public int LeaseSeconds { get; set; } = 15;
        public string? FaultPoints { get; set; }

        /// <param name="wrong">Makes the error of a member from its name, the problem and the fix.</param>
        public AgentConfig Check(Func<string, string, string, PolluxException> wrong)
        {
            var host = CheckHost(wrong);
            var address = Address ?? throw wrong("address", "member 'address' is missing", "give this host's IP address on the cluster's network");
            if (!IPAddress.TryParse(address, out _))
            {
                throw wrong("address", $"'{address}' is no IP address", "give this host's IP address on the cluster's network");
            }
            if (Etcd is not { Count: > 0 })
            {
                throw wrong("etcd", "member 'etcd' is missing", "list the client URLs of every etcd member");
            }
            if (ApiPort is < 1 or > 65535)
            {
                throw wrong("apiPort", $"apiPort is {ApiPort}", "choose 1 to 65535");
            }
            if (LeaseSeconds is < 2 or > 300)
            {
                throw wrong("leaseSeconds", $"leaseSeconds is {LeaseSeconds}", "choose 2 to 300");
            }
            var tls = Tls ?? new TlsText();
            return new AgentConfig(
                host, address, ApiPort, Etcd, Witness ?? [], new TlsFiles(tls.Ca, tls.Certificate, tls.Key), Qemu,
                string.IsNullOrEmpty(TcgShim) ? null : TcgShim, Keeper, string.IsNullOrEmpty(CgroupRoot) ? null : CgroupRoot, RunDirectory, RamDirectory, LeaseSeconds,
                string.IsNullOrEmpty(FaultPoints) ? null : FaultPoints, StateDirectory, MetricsOf(wrong));
        }

        private IPEndPoint? MetricsOf(Func<string, string, string, PolluxException> wrong)
        {
            const string fix = "give an IP address and a port: 127.0.0.1:9464";
            if (string.IsNullOrEmpty(Metrics))
            {
                return null;
            }
            if (!IPEndPoint.TryParse(Metrics, out var endpoint) || endpoint.Port == 0)
            {
                throw wrong("metrics", $"metrics is '{Metrics}', which is no address and port", fix);
            }
            return endpoint.Port == ApiPort ? throw wrong("metrics", $"metrics has the API's port {ApiPort}", fix) : endpoint;
        }

        private HostId CheckHost(Func<string, string, string, PolluxException> wrong)
        {
            try
            {
                return HostId.Create(Host ?? throw wrong("host", "member 'host' is missing", "name this host as its certificate does"));
            }
            catch (PolluxException e) when (Host is not null)
            {
                throw wrong("host", e.Problem, e.NextStep!);
            }
        }
    }

    private sealed class TlsText
    {
        public string Ca { get; set; } = "/etc/pollux/tls/ca.crt";
        public string Certificate { get; set; } = "/etc/pollux/tls/host.crt";
        public string Key { get; set; } = "/etc/pollux/tls/host.key";
    }
}

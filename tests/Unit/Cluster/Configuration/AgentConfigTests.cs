using Pollux.Cluster.Configuration;
using Pollux.Core;

namespace Pollux.Unit.Tests.Cluster.Configuration;

public sealed class AgentConfigTests : IDisposable
{
    private const string Sound = "host: h1\naddress: 10.0.0.1\netcd: [\"https://10.0.0.1:2379\"]\n";
    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    [Fact]
    public void Read_OnlyWhatIsRequired_TakesTheDefaults()
    {
        var config = Read(Sound);
        Assert.Equal(("h1", 7443, 15), (config.Host.Value, config.ApiPort, config.LeaseSeconds));
        Assert.Equal("/run/pollux/vms/redis", config.DirectoryOf(VmName.Create("redis")));
        Assert.Null(config.Cgroup);
    }

    [Theory]
    [InlineData("", "is empty")]
    [InlineData("address: 10.0.0.1\n", ": member 'host' is missing")]
    [InlineData("address: 10.0.0.1\nhost: H_1\n", ":2: 'H_1' is not a host name")]
    [InlineData("host: h1\naddress: nowhere\n", ":2: 'nowhere' is no IP address")]
    [InlineData("host: h1\naddress: 10.0.0.1\n", ": member 'etcd' is missing")]
    [InlineData(Sound + "apiPort: 70000\n", ":4: apiPort is 70000")]
    [InlineData(Sound + "leaseSeconds: 1\n", ":4: leaseSeconds is 1")]
    [InlineData(Sound + "adress: 10.0.0.2\n", ":4: 'adress' is no member here")]
    [InlineData(Sound + "apiPort: many\n", ":4: ")]
    [InlineData(Sound + "tls: [\n", ":")]
    public void Read_Wrong_NamesThePlaceAndTheProblem(string text, string problem)
    {
        var e = Assert.Throws<PolluxException>(() => Read(text));
        Assert.StartsWith(_file, e.Problem, StringComparison.Ordinal);
        Assert.Contains(problem, e.Problem, StringComparison.Ordinal);
        Assert.NotNull(e.NextStep);
    }

    [Fact]
    public void Read_NoSuchFile_SaysSo() =>
        Assert.Contains("/nowhere/agent.yaml cannot be read", Assert.Throws<PolluxException>(() => AgentConfig.Read("/nowhere/agent.yaml")).Problem, StringComparison.Ordinal);

    private AgentConfig Read(string text)
    {
        File.WriteAllText(_file, text);
        return AgentConfig.Read(_file);
    }
}

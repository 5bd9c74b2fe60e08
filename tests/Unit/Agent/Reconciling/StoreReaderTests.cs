using System.Text.Json;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Unit.Tests.Agent.Reconciling;

/// <summary>What is in the store may have been written by a hand: it is said, and must end no agent.</summary>
public sealed class StoreReaderTests
{
    private const string Well = """{"term":1,"state":"running","primary":{"host":"h1","incarnation":"00000000"},"standby":null,"nonce":"n","reason":""}""";
    private static readonly VmName Redis = VmName.Create("redis");

    [Fact]
    public void Role_ThatIsOne_IsNoDamage() => Assert.Null(ViewOf(Well).Damage);

    [Theory]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("not json")]
    public void Role_ThatIsNone_IsDamage(string value) => Assert.Contains("holds no role", ViewOf(value).Damage, StringComparison.Ordinal);

    [Theory]
    [InlineData("{\"host\":\"h1\",\"incarnation\":\"00000000\"}")]
    [InlineData("\"n\"")]
    public void Role_InWhichANameIsNull_IsDamage(string name) =>
        Assert.Contains("holds no role", ViewOf(Well.Replace(name, "null", StringComparison.Ordinal)).Damage, StringComparison.Ordinal);

    [Fact]
    public void Endpoints_ThatNameTheSameHost_AreDamage()
    {
        var endpoint = JsonSerializer.Serialize(
            new StandbyEndpoint(new HostId("h1"), Incarnation.New(), 1, "10.0.0.1", 1, StandbyState.Ready, null), StoreJson.Default.StandbyEndpoint);
        StoreEntry Entry(string key) => new(StoreKeys.Endpoint(Redis, new HostId(key)), endpoint, 1);

        Assert.Null(StoreReader.Vm(Redis, [Entry("h1")]).Damage);
        Assert.NotNull(StoreReader.Vm(Redis, [Entry("h1"), Entry("h2")]).Damage);
    }

    private static VmView ViewOf(string role) => StoreReader.Vm(Redis, [new StoreEntry(StoreKeys.Role(Redis), role, 1)]);
}

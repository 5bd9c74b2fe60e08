using Pollux.Lab.Layout;

namespace Pollux.Lab.Tests.Labs;

/// <summary>
/// Two hosts and a witness with etcd and no agents, shared by the tests of the lab itself. Its name is the one that ./test cleans up,
/// so what a killed run left goes at the next.
/// </summary>
public sealed class BareLab : IAsyncLifetime
{
    public LabCluster Cluster { get; private set; } = null!;

    /// <summary>The name of a second lab, for tests that build and remove their own.</summary>
    public static LabName SecondName { get; } = Second();

    public async Task InitializeAsync()
    {
        var name = LabName.Choose(null);
        await LabCluster.DownAsync(name);
        await LabCluster.DownAsync(SecondName);
        Cluster = await LabCluster.UpAsync(name, hosts: 2, withAgents: false);
    }

    public async Task DisposeAsync()
    {
        await LabCluster.DownAsync(SecondName);
        await Cluster.DownAsync();
    }

    private static LabName Second()
    {
        var first = LabName.Choose(null).Value;
        return LabName.Create(first[..Math.Min(first.Length, 9)] + "2");
    }
}

/// <summary>Tests that use the machine's labs take turns.</summary>
[CollectionDefinition(Name)]
public sealed class BareLabTests : ICollectionFixture<BareLab>
{
    public const string Name = "bare lab";
}

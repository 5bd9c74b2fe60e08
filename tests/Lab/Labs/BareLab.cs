using Pollux.Lab.Layout;

namespace Pollux.Lab.Tests.Labs;

/// <summary>Two hosts and a witness with etcd and no agents, shared by the tests of the lab itself.</summary>
public sealed class BareLab : IAsyncLifetime
{
    public LabCluster Cluster { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        await LabCluster.DownAsync(TestLabs.Bare);
        await LabCluster.DownAsync(TestLabs.Second);
        Cluster = await LabCluster.UpAsync(TestLabs.Bare, new LabOptions(WithAgents: false));
    }

    public async Task DisposeAsync()
    {
        await LabCluster.DownAsync(TestLabs.Second);
        await Cluster.DownAsync();
    }
}

/// <summary>Tests that use the machine's labs take turns.</summary>
[CollectionDefinition(Name)]
public sealed class BareLabTests : ICollectionFixture<BareLab>
{
    public const string Name = "bare lab";
}

using Pollux.Agent.Events;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Events;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Unit.Tests.Agent.Events;

public sealed class NewsTests
{
    private static readonly HostId H1 = HostId.Create("h1");
    private static readonly HostId H2 = HostId.Create("h2");

    [Fact]
    public void Hosts_ThatComeAndGo_AreTold()
    {
        Assert.Empty(ClusterNews.OfHosts(null, View((H1, "1"))));
        Assert.Equal([(EventKinds.HostAlive, "the host h2 is alive")], Told(View((H1, "1")), View((H1, "1"), (H2, "1"))));
        Assert.Equal(EventKinds.HostGone, Assert.Single(Told(View((H1, "1"), (H2, "1")), View((H1, "1")))).Kind);
        Assert.Equal([(EventKinds.HostAlive, "the host h2 has started anew")], Told(View((H2, "1")), View((H2, "2"))));
    }

    [Fact]
    public void Keeper_ThatIsDeadForLong_IsToldOnce()
    {
        var dead = new VmMemory(DeadSince: 1000);
        var local = LocalVm.Nothing with { LastWords = "segmentation fault" };
        int Told(double before, double now) => ClusterNews.OfVm(dead, dead, local, before, now).Count();

        Assert.Equal([0, 1, 0], [Told(1000, 1500), Told(1500, 2000), Told(2000, 2500)]);
    }

    [Fact]
    public void Notes_OfProtectionAndStart_AreToldWhenTheyChange()
    {
        var before = new VmMemory(Note: "h2 cannot stand by: no memory");
        Assert.Empty(ClusterNews.OfVm(before, before, LocalVm.Nothing, 0, 0));
        var after = before with { Note = "no other host is alive", StartFailure = "no kernel" };
        Assert.Equal([EventKinds.StartFailed, EventKinds.NotProtected], ClusterNews.OfVm(before, after, LocalVm.Nothing, 0, 0).Select(d => d.Kind));
    }

    [Fact]
    public void Etcd_MemberSilentOnce_IsNoNews()
    {
        var news = new EtcdNews(H1);
        Assert.Empty(news.Look(true, [Member("w", true)]));
        Assert.Empty(news.Look(true, [Member("w", false)]));
        Assert.Empty(news.Look(true, [Member("w", true)]));
        Assert.Empty(news.Look(true, [Member("w", false)]));
        Assert.Equal("etcd on w (https://w) does not answer h1", Assert.Single(news.Look(true, [Member("w", false)])).Text);
        Assert.Empty(news.Look(true, [Member("w", false)]));
        Assert.Equal(EventKinds.EtcdMemberBack, Assert.Single(news.Look(true, [Member("w", true)])).Kind);
    }

    [Fact]
    public void Etcd_MajoritySilentTwice_IsTold_AndBackAtOnce()
    {
        var news = new EtcdNews(H1);
        Assert.Empty(news.Look(false, []));
        var lost = Assert.Single(news.Look(false, []));
        Assert.Equal((EventKinds.EtcdLost, EventWeight.Alarm), (lost.Kind, lost.Weight));
        Assert.Empty(news.Look(false, []));
        Assert.Equal(EventKinds.EtcdBack, Assert.Single(news.Look(true, [])).Kind);
    }

    private static EtcdMemberView Member(string name, bool answers) => new("https://w", 1, name, false, answers, answers ? "3.4" : null);

    private static List<(string Kind, string Text)> Told(ClusterView before, ClusterView after) => [.. ClusterNews.OfHosts(before, after).Select(d => (d.Kind, d.Text))];

    private static ClusterView View(params (HostId Host, string Boot)[] hosts) => new(
        H1, 0, 0, hosts.ToDictionary(h => h.Host, h => new HostRecord(h.Host, h.Boot, "10.0.0.1", 7080, 1, 1, "7.2", "tcg")),
        new Dictionary<VmName, VmView>(), new Dictionary<VmName, LocalVm>());
}

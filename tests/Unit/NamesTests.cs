namespace Pollux.Unit.Tests; public class CoreTests { [Fact] public void HostId_Uppercase_IsRefused() => Assert.Throws<Core.PolluxException>(() => Core.HostId.Create("H1")); }

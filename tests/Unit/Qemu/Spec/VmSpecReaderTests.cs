using Pollux.Core;
using Pollux.Qemu.Spec;
using Xunit;

namespace Pollux.Unit.Tests.Qemu.Spec;

public sealed class VmSpecReaderTests
{
    private const string Least = """
        name: web
        memory: 256Mi
        kernel: /boot/vmlinuz
        """;

    [Fact]
    public void LeastSpecGetsSafeDefaults()
    {
        var spec = VmSpecReader.Read(Least, "web.yaml");
        Assert.Equal((1, 256L << 20, "q35", Availability.None), (spec.Cpus, spec.MemoryBytes, spec.Machine, spec.Availability));
        Assert.Equal(new FaultToleranceSpec(), spec.FaultTolerance);
        Assert.Empty(spec.Nics);
    }

    [Fact]
    public void WrittenSpecIsReadBack()
    {
        var spec = VmSpecReader.Read(Least + """

            cpus: 2
            machine: pc-q35-7.2
            commandLine: "it's: a 'test' # not a comment"
            nics:
              - bridge: br0
              - bridge: br1
                mac: 52:54:00:AA:bb:cc
                model: e1000e
            availability: faultTolerant
            faultTolerance: { trigger: on-output, detectionMs: 300, bufferMax: 64Mi }
            """, "web.yaml");
        var back = VmSpecReader.Read(VmSpecWriter.Write(spec), "store");
        Assert.Equal(VmSpecWriter.Write(spec), VmSpecWriter.Write(back));
        Assert.Equal(spec.CommandLine, back.CommandLine);
        Assert.Equal(spec.Nics, back.Nics);
        Assert.Equal(spec.FaultTolerance, back.FaultTolerance);
    }

    [Fact]
    public void MacOfANicIsStableAndItsOwn()
    {
        var spec = VmSpecReader.Read(Least + "\nnics: [{bridge: br0}, {bridge: br0}]", "web.yaml");
        var again = VmSpecReader.Read(Least + "\nnics: [{bridge: br0}, {bridge: br0}]", "web.yaml");
        Assert.Equal(spec.Nics, again.Nics);
        Assert.NotEqual(spec.Nics[0].Mac, spec.Nics[1].Mac);
    }

    [Fact]
    public void PathIsRelativeToTheFile()
    {
        var directory = Directory.CreateTempSubdirectory("pollux-spec");
        try
        {
            var file = Path.Combine(directory.FullName, "web.yaml");
            File.WriteAllText(file, Least.Replace("/boot/vmlinuz", "../images/vmlinuz", StringComparison.Ordinal));
            var spec = VmSpecReader.Read(File.ReadAllText(file), file);
            Assert.Equal(Path.GetFullPath("../images/vmlinuz", directory.FullName), spec.Kernel);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [Theory]
    [InlineData("", "web.yaml is empty")]
    [InlineData("- a\n- b", "web.yaml:1: a spec is a list of 'member: value' lines")]
    [InlineData("name: web\nkernel: [", ": this is no YAML")]
    [InlineData(Least + "\nmemroy: 1Gi", "web.yaml:4: 'memroy' is no member here; did you mean 'memory'?")]
    [InlineData("name: web\nkernel: /k", "web.yaml:1: member 'memory' is missing")]
    [InlineData("name: web\nmemory: 256Mi", "member 'kernel' is missing")]
    [InlineData("name: ../web\nmemory: 256Mi\nkernel: /k", "web.yaml:1:")]
    [InlineData("name: web\nmemory: lots\nkernel: /k", "web.yaml:2: 'lots' is no size; write it as 512Mi or 4Gi")]
    [InlineData("name: web\nmemory: 1000000\nkernel: /k", "web.yaml:2: memory is 1000000")]
    [InlineData("name: web\nmemory: 99999999999999999T\nkernel: /k", "is too much")]
    [InlineData("name: web\nmemory: 256Mi\nkernel: vmlinuz", "web.yaml:3: the path 'vmlinuz' is relative")]
    [InlineData(Least + "\ncpus: 0", "web.yaml:4: cpus is '0'; choose a number from 1 to 64")]
    [InlineData(Least + "\ncpu: host", "web.yaml:4: the CPU model 'host' is not the same on every host")]
    [InlineData(Least + "\nmachine: virt", "web.yaml:4: 'virt' is no machine that can be protected")]
    [InlineData(Least + "\navailability: yes", "web.yaml:4: 'yes' is no availability; choose none, faultTolerant")]
    [InlineData(Least + "\nnics:\n  - bridge: br0\n    mac: 01:00:5e:00:00:01", "web.yaml:6:")]
    [InlineData(Least + "\nnics:\n  - model: e1000e", "web.yaml:5: member 'bridge' is missing")]
    [InlineData(Least + "\nnics: br0", "web.yaml:4: nics is no list")]
    [InlineData(Least + "\nfaultTolerance:\n  trigger: often", "web.yaml:5: 'often' is no trigger; choose periodic, on-output, adaptive")]
    [InlineData(Least + "\nfaultTolerance:\n  detectionMs: 60000", "choose a number from 50 to 5000")]
    [InlineData(Least + "\nfaultTolerance:\n  detectionMs: 50", "allow for at least three heartbeats")]
    [InlineData(Least + "\nfaultTolerance:\n  intervalMs: 5\n  floorMs: 50", "web.yaml:6: floorMs is 50, the shortest run between two checkpoints, and intervalMs 5, the longest; choose a floorMs that is not above intervalMs")]
    [InlineData(Least + "\n---\nname: b", "there is a second document")]
    public void ErrorNamesThePlaceAndTheFix(string yaml, string expected)
    {
        var e = Assert.Throws<PolluxException>(() => VmSpecReader.Read(yaml, "web.yaml"));
        Assert.Contains(expected, e.Message, StringComparison.Ordinal);
        Assert.NotNull(e.NextStep);
    }
}

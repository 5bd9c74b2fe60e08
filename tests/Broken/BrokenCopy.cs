using System.Diagnostics;

namespace Pollux.Tests.Broken;

/// <summary>A copy of the product's sources and of built programs in a directory of its own, in which one thing at a time is broken.</summary>
public sealed class BrokenCopy : IDisposable
{
    private const string Prefix = "pollux-broken-";

    // ./test lets this run on what the lab's tests leave idle.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(20);
    private static readonly string[] Projects = ["Core", "Wire", "Linux", "Qemu", "Replication", "Cluster", "Agent"];
    private static readonly string Configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;
    private readonly string _directory = Directory.CreateTempSubdirectory($"{Prefix}{Environment.ProcessId}-").FullName;

    public BrokenCopy()
    {
        RemoveLeftovers();
        foreach (var file in (string[])["Directory.Build.props", "Directory.Packages.props", "global.json", "BannedSymbols.txt", ".editorconfig"])
        {
            File.Copy(Path.Combine(Root, file), Path.Combine(_directory, file));
        }
        foreach (var project in Projects)
        {
            CopyTree(Path.Combine(Root, "src", project), Path.Combine(_directory, "src", project));
            CopyTree(BuiltIn(Root, project), BuiltIn(_directory, project));
        }
        CopyTree(BuiltIn(Root, "Simulation"), Simulator);
    }

    /// <summary>This checkout.</summary>
    public static string Root { get; } = FindRoot();

    private string Simulator => Path.Combine(_directory, "simulator");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>Runs the simulator with the patch.</summary>
    public (int Exit, string Output) Run(string patch, params string[] arguments)
    {
        using (Break(patch, Simulator))
        {
            return Execute("dotnet", [Path.Combine(Simulator, "pollux-simulation.dll"), .. arguments]);
        }
    }

    /// <summary>A copy of a built program, of which something can be broken.</summary>
    public string Copy(string project)
    {
        var program = Path.Combine(_directory, "programs", project);
        if (!Directory.Exists(program))
        {
            CopyTree(BuiltIn(Root, project), program);
        }
        return program;
    }

    /// <summary>Applies the patch, builds what it touches, and puts that into the program's directory; when disposed of, all is as before.</summary>
    public IDisposable Break(string patch, string program)
    {
        var project = Projects.Single(p => File.ReadLines(patch).Any(l => l.StartsWith($"+++ b/src/{p}/", StringComparison.Ordinal)));
        var assembly = project == "Agent" ? "polluxd.dll" : $"Pollux.{project}.dll";
        var (there, whole) = (Path.Combine(program, assembly), Path.Combine(program, assembly + ".whole"));
        Must("git", "apply", patch);
        try
        {
            // The others are built already: only what is broken is compiled.
            Must(
                "dotnet", "build", $"src/{project}/Pollux.{project}.csproj", "-c", Configuration, "-v", "q", "--nologo", "-nodeReuse:false",
                "-p:BuildProjectReferences=false", "-p:ProduceReferenceAssembly=false", "-p:RunAnalyzers=false", "-p:TreatWarningsAsErrors=false");
            File.Move(there, whole);
            try
            {
                File.Copy(Path.Combine(BuiltIn(_directory, project), assembly), there);
            }
            catch
            {
                File.Move(whole, there, overwrite: true);
                throw;
            }
        }
        finally
        {
            Must("git", "apply", "--reverse", patch);
        }
        return new Mended(() => File.Move(whole, there, overwrite: true));
    }

    /// <summary>What tests left that were killed.</summary>
    private static void RemoveLeftovers()
    {
        foreach (var left in new DirectoryInfo(Path.GetTempPath()).EnumerateDirectories($"{Prefix}*"))
        {
            if (!Directory.Exists($"/proc/{left.Name[Prefix.Length..].Split('-')[0]}"))
            {
                left.Delete(recursive: true);
            }
        }
    }

    private static string FindRoot()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory.FullName, "Pollux.slnx")))
        {
            directory = directory.Parent ?? throw new InvalidOperationException("the tests do not lie in a checkout");
        }
        return directory.FullName;
    }

    private static string BuiltIn(string root, string project) => Path.Combine(root, "out", "bin", $"Pollux.{project}", Configuration, "net10.0");

    private static void CopyTree(string from, string to)
    {
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    private void Must(string program, params string[] arguments)
    {
        var (exit, output) = Execute(program, arguments);
        Assert.True(exit == 0, $"{program} {string.Join(' ', arguments)} ended with {exit}:\n{output}");
    }

    private (int Exit, string Output) Execute(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = _directory, RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{program} {string.Join(' ', arguments)} does not end");
        }
        process.WaitForExit();
        return (process.ExitCode, output.GetAwaiter().GetResult() + error.GetAwaiter().GetResult());
    }

    private sealed class Mended(Action mend) : IDisposable
    {
        public void Dispose() => mend();
    }
}

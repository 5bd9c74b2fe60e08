namespace Pollux.Unit.Tests;

/// <summary>The project's documents, which some tests hold to their word.</summary>
internal static class Document
{
    internal static string Read(string name)
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory.FullName, "Pollux.slnx")))
        {
            directory = directory.Parent ?? throw new DirectoryNotFoundException("the tests run outside of a checkout");
        }
        return File.ReadAllText(Path.Combine(directory.FullName, "docs", name));
    }
}

using Pollux.Core;

namespace Pollux.Replication.Compression;

/// <summary>Whether what goes over the link is compressed.</summary>
public enum CompressionMode
{
    /// <summary>Where <see cref="CompressionPolicy"/> finds that it pays.</summary>
    Auto,
    Always,
    Never,
}

/// <summary>The modes as users write them.</summary>
public static class CompressionModes
{
    /// <exception cref="PolluxException">There is no such mode.</exception>
    public static CompressionMode Of(string name) => name switch
    {
        "auto" => CompressionMode.Auto,
        "always" => CompressionMode.Always,
        "never" => CompressionMode.Never,
        _ => throw new PolluxException($"'{name}' is no compression", "choose auto, always or never"),
    };

    public static string Name(this CompressionMode mode) => mode switch
    {
        CompressionMode.Always => "always",
        CompressionMode.Never => "never",
        _ => "auto",
    };
}

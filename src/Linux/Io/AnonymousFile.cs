using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Pollux.Linux.Io;

/// <summary>A file in memory, memfd_create(2), which other processes open by a path while this object lives. Nothing of it is left, however this process ends.</summary>
public sealed partial class AnonymousFile : IDisposable
{
    private const uint CloseOnExec = 1;
    private readonly SafeFileHandle _handle;

    private AnonymousFile(SafeFileHandle handle) => _handle = handle;

    /// <summary>Where others find it, who may look into this process: root.</summary>
    public string Path => $"/proc/{Environment.ProcessId}/fd/{_handle.DangerousGetHandle()}";

    /// <param name="name">For those who look at /proc; no meaning otherwise.</param>
    public static AnonymousFile Create(string name, ReadOnlySpan<byte> content)
    {
        var descriptor = memfd_create(name, CloseOnExec);
        if (descriptor < 0)
        {
            throw LinuxException.Last("memfd_create", name);
        }
        var file = new AnonymousFile(new SafeFileHandle(descriptor, ownsHandle: true));
        RandomAccess.Write(file._handle, content, 0);
        return file;
    }

    public void Dispose() => _handle.Dispose();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int memfd_create(string name, uint flags);
}

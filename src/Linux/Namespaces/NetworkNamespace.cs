using System.Net.Sockets;
using System.Runtime.InteropServices;
using Pollux.Core;
using Pollux.Linux.Io;

namespace Pollux.Linux.Namespaces;

/// <summary>
/// Work inside a named network namespace (<c>/run/netns/NAME</c>, as <c>ip netns</c> makes them). A socket belongs for ever to the
/// namespace of the thread that made it, so a thread of its own enters, makes what is wanted, and ends.
/// </summary>
public static partial class NetworkNamespace
{
    public const string Directory = "/run/netns";
    private const int CloneNewNet = 0x40000000;

    public static string PathOf(string name) => Path.Combine(Directory, name);

    public static bool Exists(string name) => File.Exists(PathOf(name));

    /// <summary>A socket that sends and receives inside the namespace, whichever thread then uses it.</summary>
    public static Socket OpenSocket(string name, AddressFamily family, SocketType type, ProtocolType protocol) =>
        Inside(name, () => new Socket(family, type, protocol));

    /// <summary>Runs <paramref name="work"/> on a new thread inside the namespace and waits for it. It must not await.</summary>
    /// <exception cref="PolluxException">There is no such namespace.</exception>
    public static T Inside<T>(string name, Func<T> work)
    {
        using var handle = OpenNamespace(name);
        T result = default!;
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                if (setns((int)handle.DangerousGetHandle(), CloneNewNet) < 0)
                {
                    throw LinuxException.Last("setns", $"to network namespace {name}");
                }
                result = work();
            }
            catch (Exception e)
            {
                failure = e;
            }
        })
        { IsBackground = true, Name = $"in {name}" };
        thread.Start();
        thread.Join();
        return failure is null ? result : throw failure;
    }

    private static Microsoft.Win32.SafeHandles.SafeFileHandle OpenNamespace(string name)
    {
        try
        {
            return File.OpenHandle(PathOf(name));
        }
        catch (IOException e)
        {
            throw new PolluxException($"there is no network namespace '{name}'", "see ip netns list", e);
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(int fd, int kind);
}

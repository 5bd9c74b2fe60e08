using System.Net.Sockets;
using Pollux.Core;

namespace Pollux.Lab.Layout;

/// <summary>
/// One change of a lab at a time on a machine. An abstract Unix socket's name is the lock: it goes with the process that holds it
/// and leaves no file.
/// </summary>
public sealed class LabLock : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(50);
    private readonly Socket _name;

    private LabLock(Socket name) => _name = name;

    /// <exception cref="PolluxException">Another process has held it for a minute.</exception>
    internal static async Task<LabLock> TakeAsync(LabName lab, CancellationToken cancellation)
    {
        var giveUp = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
        while (true)
        {
            if (TryTake(lab) is { } taken)
            {
                return taken;
            }
            if (Environment.TickCount64 > giveUp)
            {
                throw new PolluxException($"another command has been working on lab '{lab}' for {Patience.TotalSeconds} s", "wait for it or end it");
            }
            await Task.Delay(Pace, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Null: another process has it.</summary>
    /// <param name="purpose">Locks for different purposes are different locks.</param>
    public static LabLock? TryTake(LabName lab, string purpose = "change")
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint($"\0pollux-lab-{lab}-{purpose}"));
            return new LabLock(socket);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            socket.Dispose();
            return null;
        }
    }

    public void Dispose() => _name.Dispose();
}

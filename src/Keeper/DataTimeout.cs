using System.Net.Sockets;

namespace Pollux.Keeper;

/// <summary>
/// Heartbeats have a connection of their own, so a data connection may be dead beside them: full frames vanish where small ones pass (a
/// path with a smaller MTU), or the other side reads no more. The kernel then ends it, instead of trying for a quarter of an hour.
/// </summary>
internal static class DataTimeout
{
    private const int IpProtoTcp = 6;
    private const int TcpUserTimeout = 18;

    /// <summary>How long sent data may stay unacknowledged, or the other side's window shut, ms.</summary>
    private const int Milliseconds = 10_000;

    public static void Apply(Socket socket) => socket.SetRawSocketOption(IpProtoTcp, TcpUserTimeout, BitConverter.GetBytes(Milliseconds));
}

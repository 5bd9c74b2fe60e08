namespace Pollux.Keeper.Guests;

/// <summary>
/// Keeps what QEMU writes into the run directory bounded: the guest's console is the guest's to fill, and the directory lies in a tmpfs. QEMU holds its
/// files open for append, so a long one is copied to <c>FILE.1</c> and cut to nothing; lines written in between are lost.
/// </summary>
internal sealed class GuestConsole(string runDirectory)
{
    private const long MostBytes = 4 << 20;
    private static readonly string[] Files = ["serial.log", "qemu.log"];

    private bool _complained;

    public void Trim()
    {
        foreach (var path in Files.Select(f => Path.Combine(runDirectory, f)))
        {
            try
            {
                if (new FileInfo(path) is { Exists: true, Length: > MostBytes })
                {
                    File.Copy(path, path + ".1", overwrite: true);
                    using var file = new FileStream(path, FileMode.Truncate, FileAccess.Write, FileShare.ReadWrite);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                if (!_complained)
                {
                    KeeperLog.Say($"{path} grows: {e.Message}");
                }
                _complained = true;
            }
        }
    }
}

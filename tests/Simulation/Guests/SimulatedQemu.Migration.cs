namespace Pollux.Simulation.Guests;

/// <summary>Where a QEMU's outgoing migration stands.</summary>
internal enum QemuMigration
{
    None,

    /// <summary>The guest runs, its memory travels.</summary>
    Active,

    /// <summary>The guest is stopped, QEMU waits for the word to send the rest.</summary>
    PreSwitchover,

    /// <summary>The rest goes out.</summary>
    Device,

    /// <summary>All is out; the guest stays stopped until it is told to run.</summary>
    Completed,
}

/// <content>
/// Live migration, as QEMU 7.2 does it: one that is cancelled or fails lets a guest that it stopped run on by itself, one that completed does
/// not; a keeper that dies closes the stream, which QEMU finds out when it writes to it.
/// </content>
internal sealed partial class SimulatedQemu
{
    private long _migrations;

    public QemuMigration Migration { get; private set; }
    public bool IsMigrating => Migration is not QemuMigration.None;

    /// <summary>What the keeper waits for has changed.</summary>
    public Action? MigrationMoved { get; set; }

    /// <summary>The revision of the role that was handed over with this guest; null when it was not, or was won back.</summary>
    public long? HandedOverAt { get; set; }

    /// <summary>Where the state that waits here came from; null when there is none, or it was let run.</summary>
    public SimulatedQemu? ArrivedFrom { get; set; }

    public void BeginMigration() => (Migration, _migrations) = (QemuMigration.Active, _migrations + 1);

    /// <summary>Stops the guest as soon as QEMU gets to it.</summary>
    public void SwitchOver() => InMigration(0.1 + (_random.NextDouble() * 20), QemuMigration.Active, () =>
    {
        (GuestRuns, Migration) = (false, QemuMigration.PreSwitchover);
    });

    public void CompleteMigration()
    {
        if (Migration != QemuMigration.PreSwitchover)
        {
            return;
        }
        Migration = QemuMigration.Device;
        InMigration(1 + (_random.NextDouble() * 80), QemuMigration.Device, () =>
        {
            Migration = QemuMigration.Completed;
            if (_random.Next(30) == 0)
            {
                FailMigration();
            }
        });
    }

    /// <summary>Cancels it, and lets the guest run on if that does not by itself.</summary>
    public void EndMigration() => Process.After(0.1 + (_random.NextDouble() * 10), () =>
    {
        FailMigration();
        MigrationMoved?.Invoke();
        MigrationMoved = null;
    });

    /// <summary>All of another QEMU's guest is loaded; it is stopped.</summary>
    public void Arrive(SimulatedQemu from, History guest) => (ArrivedFrom, Guest) = (from, guest);

    /// <summary><c>cont</c>.</summary>
    public void Continue() => Process.After(0.05, Resume);

    private void FailMigration()
    {
        _migrations++;
        Migration = QemuMigration.None;
        Resume();
    }

    private void LoseMigration()
    {
        MigrationMoved = null;
        switch (Migration)
        {
            case QemuMigration.Active:
                (Migration, _migrations) = (QemuMigration.None, _migrations + 1);
                break;
            case QemuMigration.Device when _random.Next(2) == 0:
                Process.After(_random.NextDouble() * 20, FailIfStill);
                break;
        }
    }

    private void FailIfStill()
    {
        if (Migration == QemuMigration.Device)
        {
            FailMigration();
        }
    }

    private void InMigration(double ms, QemuMigration from, Action then)
    {
        var number = _migrations;
        Process.After(ms, () =>
        {
            if (number == _migrations && Migration == from)
            {
                then();
                MigrationMoved?.Invoke();
            }
        });
    }
}

namespace Pollux.Lab.Load;

/// <summary>What a client found when its load had ended and every acknowledged write was read back.</summary>
/// <param name="Requests">Sent.</param>
/// <param name="Acknowledged">Writes to which the server said yes, increments included.</param>
/// <param name="Lost">Acknowledged writes that are missing or different now.</param>
/// <param name="Unanswered">Requests whose outcome is unknown.</param>
/// <param name="WrongAnswers">Replies during the load that a server which lost nothing does not give.</param>
/// <param name="ConnectionSurvived">All of it, the reading back included, went over the one connection of the beginning.</param>
/// <param name="FirstComplaint">The first wrong answer, lost write or end of a connection, in words; null: none.</param>
public sealed record LoadReport(
    long Requests, long Acknowledged, long Lost, long Unanswered, long WrongAnswers, bool ConnectionSurvived, int Reconnects, string? FirstComplaint)
{
    public bool IsClean => Lost == 0 && WrongAnswers == 0 && ConnectionSurvived;
}

using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Hosts;
using Pollux.Replication.Pair;

namespace Pollux.Lab.Vms;

/// <summary>A VM as an agent shows it; only what the lab looks at.</summary>
/// <param name="State">stopped, starting, running, syncing, protected, holding, taking or unknown.</param>
/// <param name="Note">Why it is not what was asked for, in words.</param>
public sealed record VmSight(VmName Name, string State, string? Note, Role? Role, IReadOnlyList<KeeperSight>? Keepers)
{
    /// <summary>The status of the keeper on a host, if it answered.</summary>
    public KeeperStatus? KeeperOn(HostId host) => Keepers?.FirstOrDefault(k => k.Host == host)?.Status;
}

/// <summary>A keeper's answer as an agent passes it on.</summary>
public sealed record KeeperSight(HostId Host, KeeperStatus? Status, string? Error);

/// <summary>Asks a lab host's agent over its socket, as the command line does inside the host.</summary>
internal static class AgentApi
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(40);

    internal static async Task<T> GetAsync<T>(LabHost host, string path, JsonTypeInfo<T> type, CancellationToken cancellation)
    {
        var text = await SendAsync(host, HttpMethod.Get, path, null, cancellation).ConfigureAwait(false);
        return JsonSerializer.Deserialize(text, type) ?? throw new PolluxException($"the agent on {host.Name} answered {path} with null");
    }

    internal static Task PostAsync(LabHost host, string path, string json, CancellationToken cancellation) =>
        SendAsync(host, HttpMethod.Post, path, json, cancellation);

    internal static Task DeleteAsync(LabHost host, string path, CancellationToken cancellation) =>
        SendAsync(host, HttpMethod.Delete, path, null, cancellation);

    /// <exception cref="PolluxException">The agent refused, or did not answer.</exception>
    private static async Task<string> SendAsync(LabHost host, HttpMethod method, string path, string? json, CancellationToken cancellation)
    {
        using var handler = new SocketsHttpHandler { UseProxy = false, ConnectCallback = (_, cancel) => ConnectAsync(host.AgentSocket, cancel) };
        using var client = new HttpClient(handler) { Timeout = Deadline };
        using var request = new HttpRequestMessage(method, new Uri("http://agent" + path));
        if (json is not null)
        {
            request.Content = new StringContent(json, Encoding.UTF8, "application/json");
        }
        try
        {
            using var answer = await client.SendAsync(request, cancellation).ConfigureAwait(false);
            var text = await answer.Content.ReadAsStringAsync(cancellation).ConfigureAwait(false);
            return answer.IsSuccessStatusCode ? text : throw Refusal(host, path, (int)answer.StatusCode, text);
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is TaskCanceledException && !cancellation.IsCancellationRequested))
        {
            throw new PolluxException($"the agent on {host.Name} does not answer {method} {path}: {e.Message}", $"see {host.LogDirectory}/polluxd.log", e);
        }
    }

    private static async ValueTask<Stream> ConnectAsync(string path, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static PolluxException Refusal(LabHost host, string path, int status, string text)
    {
        try
        {
            if (JsonSerializer.Deserialize(text, AgentApiJson.Default.ErrorAnswer)?.Error is { Problem: { } problem } error)
            {
                return new PolluxException(problem, error.NextStep);
            }
        }
        catch (JsonException)
        {
            // Said below as it is.
        }
        return new PolluxException($"the agent on {host.Name} answered {path} with {status}: {text}");
    }
}

internal sealed record ErrorAnswer(ErrorText? Error);

internal sealed record ErrorText(string? Problem, string? NextStep);

internal sealed record DefineRequest(string SpecYaml, HostId On);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(VmSight))]
[JsonSerializable(typeof(ErrorAnswer))]
[JsonSerializable(typeof(DefineRequest))]
[JsonSerializable(typeof(ProtectionSettings))]
internal sealed partial class AgentApiJson : JsonSerializerContext;

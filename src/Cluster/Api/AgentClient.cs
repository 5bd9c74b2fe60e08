using System.Globalization;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Pollux.Cluster.Events;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Security;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Cluster.Api;

/// <summary>Asks an agent: the local one over its socket, another host's over mutual TLS. Its errors come as <see cref="PolluxException"/>s in its own words.</summary>
public sealed class AgentClient : IDisposable
{
    private readonly HttpClient _http;
    private readonly string _who;

    private AgentClient(SocketsHttpHandler handler, Uri at, string who)
    {
        _who = who;
        handler.UseProxy = false;
        _http = new HttpClient(handler) { BaseAddress = at, Timeout = Timeout.InfiniteTimeSpan };
    }

    public static AgentClient Local(string socketPath) => new(new SocketsHttpHandler { ConnectCallback = (_, c) => ConnectAsync(socketPath, c) }, new Uri("http://agent/"), $"the agent on {socketPath}");

    public static AgentClient Peer(HostRecord host, PeerTls tls) =>
        new(new SocketsHttpHandler { SslOptions = tls.ForClient(host.Host), ConnectTimeout = TimeSpan.FromSeconds(2), PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30) },
            new UriBuilder("https", host.Address, host.ApiPort).Uri, $"the agent of {host.Host}");

    public Task<IReadOnlyList<HostRecord>> HostsAsync(TimeSpan within, CancellationToken cancellation) =>
        AskAsync(HttpMethod.Get, "v1/hosts", null, ApiJson.Default.IReadOnlyListHostRecord, within, cancellation);

    public Task<IReadOnlyList<VmDocument>> VmsAsync(TimeSpan within, CancellationToken cancellation) =>
        AskAsync(HttpMethod.Get, "v1/vms", null, ApiJson.Default.IReadOnlyListVmDocument, within, cancellation);

    public Task<VmDocument> VmAsync(VmName vm, TimeSpan within, CancellationToken cancellation) =>
        AskAsync(HttpMethod.Get, $"v1/vms/{vm}", null, ApiJson.Default.VmDocument, within, cancellation);

    /// <summary>Why a VM is not protected.</summary>
    public Task<ProtectionDiagnosis> DiagnoseAsync(VmName vm, TimeSpan within, CancellationToken cancellation) =>
        AskAsync(HttpMethod.Get, $"v1/vms/{vm}/diagnosis", null, ApiJson.Default.ProtectionDiagnosis, within, cancellation);

    /// <summary>Of every VM that shall be protected.</summary>
    public Task<IReadOnlyList<ProtectionDiagnosis>> DiagnosesAsync(TimeSpan within, CancellationToken cancellation) =>
        AskAsync(HttpMethod.Get, "v1/diagnoses", null, ApiJson.Default.IReadOnlyListProtectionDiagnosis, within, cancellation);

    /// <summary>What happened since a time (milliseconds since 1970): on every host that answers, or as that very host tells it.</summary>
    public Task<EventsDocument> EventsAsync(long sinceUnixMs, string? vm, int most, bool ofHostOnly, TimeSpan within, CancellationToken cancellation) => AskAsync(
        HttpMethod.Get, string.Create(CultureInfo.InvariantCulture, $"v1/events{(ofHostOnly ? "/local" : "")}?since={sinceUnixMs}&most={most}{(vm is null ? "" : $"&vm={Uri.EscapeDataString(vm)}")}"),
        null, EventJson.Default.EventsDocument, within, cancellation);

    public Task<VmDocument> DefineAsync(DefineRequest request, TimeSpan within, CancellationToken cancellation) =>
        AskAsync(HttpMethod.Post, "v1/vms", JsonContent.Create(request, ApiJson.Default.DefineRequest), ApiJson.Default.VmDocument, within, cancellation);

    public Task DeleteAsync(VmName vm, TimeSpan within, CancellationToken cancellation) => SendAsync(HttpMethod.Delete, $"v1/vms/{vm}", null, within, cancellation);

    public Task<VmDocument> StartAsync(VmName vm, TimeSpan within, CancellationToken cancellation) => DoAsync(vm, "start", null, within, cancellation);

    public Task<VmDocument> StopAsync(VmName vm, bool force, TimeSpan within, CancellationToken cancellation) =>
        DoAsync(vm, "stop", JsonContent.Create(new StopRequest(force), ApiJson.Default.StopRequest), within, cancellation);

    public Task<VmDocument> ProtectAsync(VmName vm, HostId? on, TimeSpan within, CancellationToken cancellation) =>
        DoAsync(vm, "protect", JsonContent.Create(new ProtectRequest(on), ApiJson.Default.ProtectRequest), within, cancellation);

    public Task<VmDocument> UnprotectAsync(VmName vm, TimeSpan within, CancellationToken cancellation) => DoAsync(vm, "unprotect", null, within, cancellation);

    public Task<VmDocument> TakeOverAsync(VmName vm, TimeSpan within, CancellationToken cancellation) => DoAsync(vm, "takeover", null, within, cancellation);

    public Task<VmDocument> MigrateAsync(VmName vm, MigrateRequest request, TimeSpan within, CancellationToken cancellation) =>
        DoAsync(vm, "migrate", JsonContent.Create(request, ApiJson.Default.MigrateRequest), within, cancellation);

    public Task<VmDocument> CancelMigrationAsync(VmName vm, TimeSpan within, CancellationToken cancellation) => DoAsync(vm, "migrate-cancel", null, within, cancellation);

    public Task<VmDocument> SetAsync(VmName vm, ProtectionSettings settings, TimeSpan within, CancellationToken cancellation) =>
        DoAsync(vm, "set", JsonContent.Create(settings, ApiJson.Default.ProtectionSettings), within, cancellation);

    /// <summary>The keeper on that very host; for agents among themselves.</summary>
    public Task<KeeperResponse> KeeperAsync(VmName vm, KeeperRequest request, TimeSpan within, CancellationToken cancellation) =>
        AskAsync(HttpMethod.Post, $"v1/vms/{vm}/keeper", JsonContent.Create(request, ApiJson.Default.KeeperRequest), ApiJson.Default.KeeperResponse, within, cancellation);

    /// <summary>A keeper on that very host to which the VM can move; for agents among themselves.</summary>
    public Task<StandbyTarget> ReceiveAsync(VmName vm, DestinationRequest request, TimeSpan within, CancellationToken cancellation) =>
        AskAsync(HttpMethod.Post, $"v1/vms/{vm}/destination", JsonContent.Create(request, ApiJson.Default.DestinationRequest), ApiJson.Default.StandbyTarget, within, cancellation);

    /// <summary>What that very host knows of its side of a VM; for agents among themselves.</summary>
    public Task<KeeperOnHost> SideAsync(VmName vm, TimeSpan within, CancellationToken cancellation) =>
        AskAsync(HttpMethod.Get, $"v1/vms/{vm}/side", null, ApiJson.Default.KeeperOnHost, within, cancellation);

    /// <summary>Whether that very host could run a VM of this spec; for agents among themselves.</summary>
    /// <exception cref="PolluxException">It could not; says what is missing.</exception>
    public async Task CheckAsync(string specYaml, TimeSpan within, CancellationToken cancellation) =>
        (await SendAsync(HttpMethod.Post, "v1/readiness", JsonContent.Create(new ReadinessRequest(specYaml), ApiJson.Default.ReadinessRequest), within, cancellation)
            .ConfigureAwait(false)).Dispose();

    public void Dispose() => _http.Dispose();

    private Task<VmDocument> DoAsync(VmName vm, string verb, HttpContent? body, TimeSpan within, CancellationToken cancellation) =>
        AskAsync(HttpMethod.Post, $"v1/vms/{vm}/{verb}", body, ApiJson.Default.VmDocument, within, cancellation);

    private async Task<T> AskAsync<T>(HttpMethod method, string path, HttpContent? body, JsonTypeInfo<T> type, TimeSpan within, CancellationToken cancellation)
    {
        using var answer = await SendAsync(method, path, body, within, cancellation).ConfigureAwait(false);
        try
        {
            return await answer.Content.ReadFromJsonAsync(type, cancellation).ConfigureAwait(false) ?? throw new JsonException("null");
        }
        catch (Exception e) when (e is JsonException or HttpRequestException)
        {
            throw new PolluxException($"{_who} answered something else than expected: {e.Message}", "are both of the same version?", e);
        }
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, HttpContent? body, TimeSpan within, CancellationToken cancellation)
    {
        using var deadline = new CancellationTokenSource(within);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellation);
        try
        {
            var answer = await SendOnceAsync(method, path, body, end.Token).ConfigureAwait(false);
            if (answer.IsSuccessStatusCode)
            {
                return answer;
            }
            using (answer)
            {
                throw await RefusalAsync(answer, end.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException e) when (!end.IsCancellationRequested && e.InnerException is TimeoutException)
        {
            // Of the connection, which is how a host without power is absent.
            throw new AgentUnreachableException(_who, e);
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new AgentSilentException(_who, within, e);
        }
        catch (HttpRequestException e) when (e.InnerException is PolluxException absent)
        {
            throw absent;
        }
        catch (HttpRequestException e) when (e.HttpRequestError is HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError)
        {
            throw new AgentUnreachableException(_who, e);
        }
        catch (HttpRequestException e)
        {
            throw new AgentBrokeOffException(_who, e);
        }
    }

    /// <summary>A connection that was kept open may be one to a host that has lost its power since, and knows nothing of it.</summary>
    private async Task<HttpResponseMessage> SendOnceAsync(HttpMethod method, string path, HttpContent? body, CancellationToken cancellation)
    {
        try
        {
            // Not disposed of: its body would be too, and may be sent again.
            var request = new HttpRequestMessage(method, path) { Content = body };
            return await _http.SendAsync(request, cancellation).ConfigureAwait(false);
        }
        catch (HttpRequestException e) when (e.GetBaseException() is SocketException { SocketErrorCode: SocketError.ConnectionReset })
        {
            try
            {
                using var again = new HttpRequestMessage(method, path) { Content = body };
                return await _http.SendAsync(again, cancellation).ConfigureAwait(false);
            }
            catch (HttpRequestException second) when (method != HttpMethod.Get)
            {
                // The first may have arrived all the same.
                throw new AgentBrokeOffException(_who, second);
            }
        }
    }

    private async Task<PolluxException> RefusalAsync(HttpResponseMessage answer, CancellationToken cancellation)
    {
        try
        {
            var error = await answer.Content.ReadFromJsonAsync(ApiJson.Default.ApiError, cancellation).ConfigureAwait(false);
            return answer.StatusCode switch
            {
                ApiStatus.KeeperAbsent => new KeeperAbsentException(error!.Error.Problem),
                ApiStatus.OutcomeUnknown => new OutcomeUnknownException(error!.Error.Problem, error.Error.NextStep),
                _ => new PolluxException(error!.Error.Problem, error.Error.NextStep),
            };
        }
        catch (JsonException)
        {
            return new PolluxException($"{_who} refused with HTTP status {(int)answer.StatusCode}");
        }
    }

    private static async ValueTask<Stream> ConnectAsync(string path, CancellationToken cancellation)
    {
        if (!File.Exists(path))
        {
            throw new NoAgentException(path);
        }
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
}

/// <summary>There is no agent's socket: none runs here, or it is being started anew.</summary>
public sealed class NoAgentException(string path)
    : PolluxException($"no agent listens on {path}", "ask on a host of the cluster (of a lab: pollux lab exec h1 -- pollux …), or name the socket with --socket");

/// <summary>There is no connection to an agent: nothing was done.</summary>
public sealed class AgentUnreachableException(string who, Exception cause)
    : PolluxException($"{who} cannot be reached: {cause.InnerException?.Message ?? cause.Message}", "is polluxd running there?", cause);

/// <summary>The connection ended before the answer; whether the agent did what it was asked is unknown.</summary>
public sealed class AgentBrokeOffException(string who, HttpRequestException cause)
    : OutcomeUnknownException($"{who} broke off: {cause.InnerException?.Message ?? cause.Message}; whether it was done is unknown", "look with 'pollux vm list'", cause);

/// <summary>An agent gave no answer in time; whether it did what it was asked is unknown.</summary>
public sealed class AgentSilentException(string who, TimeSpan within, Exception cause)
    : OutcomeUnknownException($"{who} did not answer within {within.TotalSeconds:0.#} s; whether it was done is unknown", "look with 'pollux vm list'", cause);

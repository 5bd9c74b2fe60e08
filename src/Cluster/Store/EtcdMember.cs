using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Pollux.Cluster.Security;

namespace Pollux.Cluster.Store;

/// <summary>How a call to one member failed.</summary>
internal enum EtcdFailureKind
{
    /// <summary>The request never left: no connection. It cannot take effect.</summary>
    NotSent,

    /// <summary>It left, or may have; no answer came. It may take effect now or later.</summary>
    NoAnswer,

    /// <summary>etcd answered with an error.</summary>
    Refused,
}

/// <param name="code">gRPC's status code of a refusal, else 0.</param>
internal sealed class EtcdFailure(EtcdFailureKind kind, string why, int code = 0, Exception? cause = null) : Exception(why, cause)
{
    internal const int NotFound = 5;
    internal const int FailedPrecondition = 9;

    internal EtcdFailureKind Kind { get; } = kind;
    internal int Code { get; } = code;
}

/// <summary>
/// One etcd member by its JSON gateway, with connections of its own that are kept open. At most <see cref="MaxInFlight"/> calls
/// are under way to it; more are refused at once, so that a silent member holds no queue.
/// </summary>
internal sealed class EtcdMember : IDisposable
{
    private const int MaxInFlight = 64;

    private readonly HttpClient client;
    private readonly TimeProvider clock;
    private long lastAnswer;
    private int inFlight;

    internal EtcdMember(Uri endpoint, PeerTls? tls, TimeProvider clock)
    {
        (Endpoint, this.clock) = (endpoint, clock);
        var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            ActivityHeadersPropagator = null,
            ConnectTimeout = TimeSpan.FromSeconds(2),
            PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
            MaxConnectionsPerServer = MaxInFlight * 2,
        };
        if (tls is not null)
        {
            handler.SslOptions = tls.ForAddress();
        }

        client = new HttpClient(handler)
        {
            BaseAddress = endpoint,
            Timeout = Timeout.InfiniteTimeSpan,
            DefaultRequestVersion = HttpVersion.Version11,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
    }

    internal Uri Endpoint { get; }

    /// <summary>How long ago the member last answered a read or transaction, all of which are linearizable here; it had a quorum then.</summary>
    internal TimeSpan SinceAnswer => Interlocked.Read(ref lastAnswer) is var at && at == 0 ? TimeSpan.MaxValue : clock.GetElapsedTime(at);

    /// <summary>One call: JSON in, JSON out. Throws <see cref="EtcdFailure"/>.</summary>
    internal async Task<TAnswer> CallAsync<TRequest, TAnswer>(
        string path, TRequest request, JsonTypeInfo<TRequest> requestType, JsonTypeInfo<TAnswer> answerType, CancellationToken deadline)
    {
        if (Interlocked.Increment(ref inFlight) > MaxInFlight)
        {
            Interlocked.Decrement(ref inFlight);
            throw new EtcdFailure(EtcdFailureKind.NotSent, $"{Endpoint.Authority} has {MaxInFlight} calls unanswered");
        }

        try
        {
            using var response = await SendAsync(path, request, requestType, deadline).ConfigureAwait(false);
            var body = await ReadAsync(response, deadline).ConfigureAwait(false);
            var answer = Parse(body, answerType);
            if (path.StartsWith("v3/kv/", StringComparison.Ordinal))
            {
                Interlocked.Exchange(ref lastAnswer, clock.GetTimestamp());
            }

            return answer;
        }
        finally
        {
            Interlocked.Decrement(ref inFlight);
        }
    }

    /// <summary>A call whose answer is a stream of lines, read by the caller, who disposes of the response.</summary>
    internal async Task<HttpResponseMessage> SendAsync<TRequest>(
        string path, TRequest request, JsonTypeInfo<TRequest> requestType, CancellationToken deadline)
    {
        var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(request, requestType));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var message = new HttpRequestMessage(HttpMethod.Post, path) { Content = content };
        HttpResponseMessage response;
        try
        {
            response = await client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, deadline).ConfigureAwait(false);
        }
        catch (HttpRequestException e)
        {
            var neverLeft = e.HttpRequestError
                is HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError;
            throw Failed(neverLeft ? EtcdFailureKind.NotSent : EtcdFailureKind.NoAnswer, (e.InnerException ?? e).Message, e);
        }
        catch (OperationCanceledException e)
        {
            throw Failed(EtcdFailureKind.NoAnswer, "no answer in time", e);
        }

        if (response.IsSuccessStatusCode)
        {
            return response;
        }

        using (response)
        {
            throw Refusal(response.StatusCode, await ReadAsync(response, deadline).ConfigureAwait(false));
        }
    }

    public void Dispose() => client.Dispose();

    private async Task<byte[]> ReadAsync(HttpResponseMessage response, CancellationToken deadline)
    {
        try
        {
            return await response.Content.ReadAsByteArrayAsync(deadline).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            throw Failed(EtcdFailureKind.NoAnswer, e is OperationCanceledException ? "no answer in time" : e.Message, e);
        }
    }

    private TAnswer Parse<TAnswer>(byte[] body, JsonTypeInfo<TAnswer> type)
    {
        try
        {
            return JsonSerializer.Deserialize(body, type) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw Failed(EtcdFailureKind.NoAnswer, $"its answer is not etcd's JSON ({e.Message})", e);
        }
    }

    private EtcdFailure Refusal(HttpStatusCode status, byte[] body)
    {
        try
        {
            var error = JsonSerializer.Deserialize(body, EtcdJson.Default.ErrorAnswer);
            return new(EtcdFailureKind.Refused, $"{Endpoint.Authority}: {error?.Message ?? status.ToString()}", error?.Code ?? 0);
        }
        catch (JsonException)
        {
            return new(EtcdFailureKind.Refused, $"{Endpoint.Authority}: HTTP status {(int)status}");
        }
    }

    private EtcdFailure Failed(EtcdFailureKind kind, string why, Exception cause) => new(kind, $"{Endpoint.Authority}: {why}", 0, cause);
}

using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Pollux.Agent.Events;
using Pollux.Agent.Metrics;
using Pollux.Cluster.Api;
using Pollux.Cluster.Configuration;
using Pollux.Cluster.Events;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Security;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Agent.Api;

/// <summary>The agent's API: on a socket for root, and over mutual TLS for the other hosts of the cluster.</summary>
internal static class ApiServer
{
    private const long LargestBody = 1 << 20;

    /// <summary>At each of its addresses.</summary>
    private const long MostConnections = 256;

    public static WebApplication Build(AgentConfig config, PeerTls tls, VmService vms, EventService events, MetricsService metrics, HostLease lease)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.ConfigureHttpJsonOptions(o => 
        {
            o.SerializerOptions.TypeInfoResolverChain.Insert(0, ApiJson.Default);
            o.SerializerOptions.TypeInfoResolverChain.Insert(1, EventJson.Default);
        });
        // A body that cannot be read is told in our words, not answered with an empty page.
        builder.Services.Configure<RouteHandlerOptions>(o => o.ThrowOnBadRequest = true);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = LargestBody;
            // Open and idle connections must not take the descriptors that the store and the keepers need.
            kestrel.Limits.MaxConcurrentConnections = MostConnections;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.AddServerHeader = false;
            kestrel.ListenUnixSocket(config.Socket);
            kestrel.Listen(IPAddress.Parse(config.Address), config.ApiPort, listen => listen.UseHttps(
                new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(tls.ForServer()) }));
            if (config.Metrics is { } open)
            {
                kestrel.Listen(open);
            }
        });
        builder.WebHost.UseKestrelHttpsConfiguration();
        var app = builder.Build();
        if (config.Metrics is { } open)
        {
            app.Use((context, next) => OnlyMetricsAsync(open.Port, context, next));
        }
        app.Use(ExplainAsync);
        Map(app, vms, lease);
        Map(app, events);
        app.MapGet("/metrics", async (CancellationToken c) => Results.Text(await metrics.PageAsync(c).ConfigureAwait(false), Exposition.ContentType));
        return app;
    }

    /// <summary>Who comes by the port that asks for no certificate may read figures and do nothing.</summary>
    private static Task OnlyMetricsAsync(int port, HttpContext context, RequestDelegate next)
    {
        if (context.Connection.LocalPort != port || (context.Request.Path == "/metrics" && HttpMethods.IsGet(context.Request.Method)))
        {
            return next(context);
        }
        context.Response.StatusCode = StatusCodes.Status404NotFound;
        return Task.CompletedTask;
    }

    private static void Map(WebApplication app, VmService vms, HostLease lease)
    {
        app.MapGet("/v1/health", () => lease.IsAlive ? Results.Ok() : Results.StatusCode(StatusCodes.Status503ServiceUnavailable));
        app.MapGet("/v1/hosts", (CancellationToken c) => vms.HostsAsync(c));
        app.MapGet("/v1/vms", (CancellationToken c) => vms.VmsAsync(c));
        app.MapPost("/v1/vms", (DefineRequest request, CancellationToken c) => vms.DefineAsync(request, c));
        app.MapGet("/v1/vms/{name}", (string name, CancellationToken c) => vms.VmAsync(VmName.Create(name), c));
        app.MapDelete("/v1/vms/{name}", (string name, CancellationToken c) => vms.DeleteAsync(VmName.Create(name), c));
        app.MapPost("/v1/vms/{name}/start", (string name, CancellationToken c) => vms.StartAsync(VmName.Create(name), c));
        app.MapPost("/v1/vms/{name}/stop", (string name, StopRequest? request, CancellationToken c) => vms.StopAsync(VmName.Create(name), request?.Force ?? false, c));
        app.MapPost("/v1/vms/{name}/protect", (string name, ProtectRequest? request, CancellationToken c) => vms.ProtectAsync(VmName.Create(name), request?.On, c));
        app.MapPost("/v1/vms/{name}/unprotect", (string name, CancellationToken c) => vms.UnprotectAsync(VmName.Create(name), c));
        app.MapPost("/v1/vms/{name}/takeover", (string name, CancellationToken c) => vms.TakeOverAsync(VmName.Create(name), c));
        app.MapPost("/v1/vms/{name}/migrate", (string name, MigrateRequest request, CancellationToken c) => vms.MigrateAsync(VmName.Create(name), request, c));
        app.MapPost("/v1/vms/{name}/migrate-cancel", (string name, CancellationToken c) => vms.CancelMigrationAsync(VmName.Create(name), c));
        app.MapPost("/v1/vms/{name}/destination", (string name, DestinationRequest request, CancellationToken c) => vms.ReceiveAsync(VmName.Create(name), request, c));
        app.MapPost("/v1/vms/{name}/set", (string name, ProtectionSettings request, CancellationToken c) => vms.SetAsync(VmName.Create(name), request, c));
        app.MapGet("/v1/diagnoses", (CancellationToken c) => vms.DiagnoseAllAsync(c));
        app.MapGet("/v1/vms/{name}/diagnosis", (string name, CancellationToken c) => vms.DiagnoseAsync(VmName.Create(name), c));
        app.MapPost("/v1/readiness", (ReadinessRequest request) => vms.CheckReadiness(request));
        app.MapGet("/v1/vms/{name}/side", (string name, CancellationToken c) => vms.SideAsync(VmName.Create(name), c));
        app.MapPost("/v1/vms/{name}/keeper", (string name, KeeperRequest request, CancellationToken c) => vms.LocalKeeperAsync(VmName.Create(name), request, c));
    }

    private static void Map(WebApplication app, EventService events)
    {
        app.MapGet("/v1/events", (long? since, string? vm, int? most, CancellationToken c) => events.AllAsync(since ?? 0, vm, most ?? EventService.Most, c));
        app.MapGet("/v1/events/local", (long? since, string? vm, int? most) => events.LocalAsync(since ?? 0, vm, most ?? EventService.Most));
    }

    /// <summary>Failures as one sentence with its next step.</summary>
    private static async Task ExplainAsync(HttpContext context, RequestDelegate next)
    {
        var (status, problem, nextStep) = (0, "", (string?)null);
        try
        {
            await next(context).ConfigureAwait(false);
            if (context.Response is { HasStarted: false, StatusCode: StatusCodes.Status404NotFound or StatusCodes.Status405MethodNotAllowed, ContentLength: null })
            {
                (status, problem) = (context.Response.StatusCode, $"there is nothing at {context.Request.Method} {context.Request.Path}");
            }
        }
        catch (UnknownVmException e)
        {
            (status, problem, nextStep) = (StatusCodes.Status404NotFound, e.Problem, e.NextStep);
        }
        catch (StoreUnavailableException e)
        {
            (status, problem, nextStep) = (StatusCodes.Status503ServiceUnavailable, e.Problem, e.NextStep);
        }
        catch (KeeperAbsentException e)
        {
            (status, problem, nextStep) = ((int)ApiStatus.KeeperAbsent, e.Problem, e.NextStep);
        }
        catch (OutcomeUnknownException e)
        {
            (status, problem, nextStep) = ((int)ApiStatus.OutcomeUnknown, e.Problem, e.NextStep);
        }
        catch (PolluxException e)
        {
            (status, problem, nextStep) = (StatusCodes.Status409Conflict, e.Problem, e.NextStep);
        }
        catch (BadHttpRequestException e)
        {
            (status, problem) = (e.StatusCode, $"the request cannot be read: {e.InnerException?.Message ?? e.Message}");
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // A fault in answering one request is told to who asked; the agent goes on.
            (status, problem) = (StatusCodes.Status500InternalServerError, $"the agent failed to answer {context.Request.Method} {context.Request.Path}: {e.GetType().Name}: {e.Message}");
        }
        if (status != 0 && !context.Response.HasStarted)
        {
            context.Response.StatusCode = status;
            await context.Response.WriteAsJsonAsync(
                new ApiError(new ApiErrorDetail(problem, nextStep)), ApiJson.Default.ApiError, cancellationToken: context.RequestAborted).ConfigureAwait(false);
        }
    }
}

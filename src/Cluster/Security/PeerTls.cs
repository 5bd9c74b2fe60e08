using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Pollux.Cluster.Keepers;
using Pollux.Core;

namespace Pollux.Cluster.Security;

/// <summary>
/// Mutual TLS 1.3 between hosts. Both ends show a certificate of the cluster's CA, no other CA is trusted, nothing is looked
/// up on the network, and sessions are never resumed, so each connection proves its peer anew. The options serve blocking and
/// asynchronous <see cref="SslStream"/>s alike, and any number of connections.
/// </summary>
public sealed class PeerTls : IDisposable
{
    private readonly X509Certificate2 authority;
    private readonly X509Certificate2 certificate;
    private readonly SslStreamCertificateContext context;

    private PeerTls(X509Certificate2 authority, X509Certificate2 certificate, HostId self)
    {
        (this.authority, this.certificate, Self) = (authority, certificate, self);
        context = SslStreamCertificateContext.Create(certificate, null, offline: true);
    }

    /// <summary>The host that the own certificate names.</summary>
    public HostId Self { get; }

    /// <summary>Reads the CA, the certificate and its key.</summary>
    /// <exception cref="PolluxException">A file is missing or unusable, or the certificate names no single host.</exception>
    public static PeerTls Open(TlsFiles files)
    {
        foreach (var file in new[] { files.CaFile, files.CertificateFile, files.KeyFile })
        {
            if (!File.Exists(file))
            {
                throw new PolluxException($"the TLS file {file} does not exist", "copy the host's ca.crt, host.crt and host.key there");
            }
        }

        try
        {
            var authority = X509CertificateLoader.LoadCertificateFromFile(files.CaFile);
            var certificate = X509Certificate2.CreateFromPemFile(files.CertificateFile, files.KeyFile);
            var self = HostOf(certificate) ?? throw new PolluxException(
                $"the certificate {files.CertificateFile} does not name exactly one host", "issue it anew for this host");
            return new(authority, certificate, self);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new PolluxException($"the certificate {files.CertificateFile} cannot be used: {e.Message}", "issue it anew for this host", e);
        }
    }

    /// <summary>For the accepting end. <paramref name="accepts"/> judges the host that the peer's certificate names; null: any of the cluster.</summary>
    public SslServerAuthenticationOptions ForServer(Func<HostId, bool>? accepts = null) => new()
    {
        ServerCertificateContext = context,
        ClientCertificateRequired = true,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowRenegotiation = false,
        AllowTlsResume = false,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = TrustOnlyCluster(),
        RemoteCertificateValidationCallback = (_, peer, _, errors) => Accepts(peer, errors, accepts),
    };

    /// <summary>For the connecting end; the peer must prove to be <paramref name="expected"/>.</summary>
    public SslClientAuthenticationOptions ForClient(HostId expected) => new()
    {
        TargetHost = expected.Value,
        ClientCertificateContext = context,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowRenegotiation = false,
        AllowTlsResume = false,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = TrustOnlyCluster(),
        RemoteCertificateValidationCallback = (_, peer, _, errors) => Accepts(peer, errors, host => host == expected),
    };

    /// <summary>For HTTPS to a server that is named by its address, as etcd's members are: the certificate must carry that address.</summary>
    public SslClientAuthenticationOptions ForAddress() => new()
    {
        ClientCertificateContext = context,
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowRenegotiation = false,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = TrustOnlyCluster(),
    };

    /// <summary>The authenticated host at the other end of a connection that was set up with these options.</summary>
    public static HostId PeerOf(SslStream stream) =>
        HostOf(stream.RemoteCertificate) ?? throw new PolluxException("the peer's certificate names no host", "issue it anew for its host");

    /// <summary>The one host that a certificate names, null when it names none or several.</summary>
    public static HostId? HostOf(X509Certificate? certificate)
    {
        if (certificate is not X509Certificate2 full)
        {
            return null;
        }

        var names = full.Extensions.OfType<X509SubjectAlternativeNameExtension>().SelectMany(e => e.EnumerateDnsNames()).ToList();
        try
        {
            return names is [var name] ? HostId.Create(name) : null;
        }
        catch (PolluxException)
        {
            return null;
        }
    }

    public void Dispose()
    {
        certificate.Dispose();
        authority.Dispose();
    }

    private static bool Accepts(X509Certificate? peer, SslPolicyErrors errors, Func<HostId, bool>? accepts) =>
        errors == SslPolicyErrors.None && HostOf(peer) is { } host && (accepts is null || accepts(host));

    private X509ChainPolicy TrustOnlyCluster() => new()
    {
        TrustMode = X509ChainTrustMode.CustomRootTrust,
        CustomTrustStore = { authority },
        RevocationMode = X509RevocationMode.NoCheck,
        DisableCertificateDownloads = true,
    };
}

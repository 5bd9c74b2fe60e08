using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Pollux.Core;

namespace Pollux.Cluster.Security;

/// <summary>
/// The cluster's own certificate authority: one ECDSA P-256 key in a directory (<c>ca.crt</c>, <c>ca.key</c>) that only its
/// owner reads. Every host, etcd member and keeper shows a certificate of this CA and trusts no other.
/// </summary>
public sealed class ClusterAuthority : IDisposable
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    /// <summary>Certificates begin a little in the past, since clocks of hosts differ.</summary>
    private static readonly TimeSpan ClockSlack = TimeSpan.FromHours(1);

    private static readonly TimeSpan HostValidity = TimeSpan.FromDays(825);

    private readonly X509Certificate2 authority;
    private readonly TimeProvider clock;

    private ClusterAuthority(X509Certificate2 authority, TimeProvider clock) => (this.authority, this.clock) = (authority, clock);

    /// <summary>Opens the CA in <paramref name="directory"/>, or makes one there, valid for ten years.</summary>
    /// <exception cref="PolluxException">The directory holds only half of a CA, or cannot be written.</exception>
    public static ClusterAuthority CreateOrOpen(string directory, TimeProvider? clock = null)
    {
        clock ??= TimeProvider.System;
        var (certificateFile, keyFile) = (Path.Combine(directory, "ca.crt"), Path.Combine(directory, "ca.key"));
        try
        {
            return (File.Exists(certificateFile), File.Exists(keyFile)) switch
            {
                (true, true) => new(X509Certificate2.CreateFromPemFile(certificateFile, keyFile), clock),
                (false, false) => Create(directory, certificateFile, keyFile, clock),
                _ => throw new PolluxException(
                    $"{directory} holds only one of ca.crt and ca.key", "restore the missing file, or remove both to begin a new cluster"),
            };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new PolluxException($"the certificate authority in {directory} cannot be used: {e.Message}", "check the directory's files and rights", e);
        }
    }

    /// <summary>
    /// Writes <c>ca.crt</c>, <c>host.crt</c> and <c>host.key</c> (0600) for one host into <paramref name="targetDirectory"/>.
    /// The certificate names the host as its only DNS name, plus its addresses, and serves for both ends of a connection:
    /// etcd's JSON gateway uses the server's certificate as a client too.
    /// </summary>
    public void Issue(string name, IReadOnlyList<IPAddress> addresses, string targetDirectory)
    {
        var now = clock.GetUtcNow();
        Issue(name, addresses, targetDirectory, now - ClockSlack, Earlier(now + HostValidity, authority.NotAfter));
    }

    /// <summary>As above, with the validity given; for certificates that are to end soon.</summary>
    public void Issue(string name, IReadOnlyList<IPAddress> addresses, string targetDirectory, DateTimeOffset notBefore, DateTimeOffset notAfter)
    {
        var host = HostId.Create(name);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={host}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(host.Value);
        foreach (var address in addresses)
        {
            names.AddIpAddress(address);
        }

        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new(ServerAuthentication), new(ClientAuthentication)], false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, true, false));
        var start = notBefore < authority.NotBefore ? authority.NotBefore : notBefore;
        using var certificate = request.Create(authority, start, notAfter, SerialNumber());

        Directory.CreateDirectory(targetDirectory);
        Write(Path.Combine(targetDirectory, "ca.crt"), authority.ExportCertificatePem(), secret: false);
        Write(Path.Combine(targetDirectory, "host.crt"), certificate.ExportCertificatePem(), secret: false);
        Write(Path.Combine(targetDirectory, "host.key"), key.ExportPkcs8PrivateKeyPem(), secret: true);
    }

    public void Dispose() => authority.Dispose();

    private static ClusterAuthority Create(string directory, string certificateFile, string keyFile, TimeProvider clock)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=Pollux cluster CA", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        var now = clock.GetUtcNow();
        var certificate = request.CreateSelfSigned(now - (ClockSlack * 2), now + TimeSpan.FromDays(3650));

        Directory.CreateDirectory(directory);
        Write(keyFile, key.ExportPkcs8PrivateKeyPem(), secret: true);
        Write(certificateFile, certificate.ExportCertificatePem(), secret: false);
        return new(certificate, clock);
    }

    private static byte[] SerialNumber()
    {
        var serial = RandomNumberGenerator.GetBytes(16);
        serial[0] &= 0x7f;
        serial[0] |= 0x40;
        return serial;
    }

    private static DateTimeOffset Earlier(DateTimeOffset a, DateTimeOffset b) => a < b ? a : b;

    /// <summary>Replaces a file as a whole; a secret is never readable by others, not even for a moment.</summary>
    private static void Write(string path, string text, bool secret)
    {
        var mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | (secret ? 0 : UnixFileMode.GroupRead | UnixFileMode.OtherRead);
        var draft = path + ".new";
        File.Delete(draft);
        using (var file = new FileStream(draft, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = mode }))
        using (var writer = new StreamWriter(file))
        {
            writer.Write(text);
            writer.Write('\n');
        }

        File.Move(draft, path, overwrite: true);
    }
}

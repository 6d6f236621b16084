/// How a registry is served.
public struct RegistryServerConfiguration: Sendable {
  /// Where content and metadata are kept. One server at a time.
  public var root: String
  public var host: String
  /// 0: one that is free.
  public var port: Int
  /// PEM files of the certificate chain and its key; nil: without TLS.
  public var tls: (certificate: String, key: String)?
  /// A file of Apache's format with bcrypt hashes, read at start; nil: everybody may do everything.
  public var htpasswd: String?
  /// Nothing can be pushed or deleted.
  public var isReadOnly = false
  public var limits = Limits()

  /// What one client can make the server hold. The defaults suit a registry of a team.
  public struct Limits: Sendable {
    /// Bytes of a manifest (distribution-spec, "Pushing Manifests").
    public var manifest = 4 << 20
    /// Connections at once; more are closed as they come.
    public var connections = 1_024
    /// Uploads that are open at once.
    public var uploads = 256
    /// Seconds that an upload is kept without a byte.
    public var uploadAge: Int64 = 3_600
    /// Seconds in which a request's head must arrive, and between two pieces of its body or of an answer.
    public var idle: Int64 = 60
    /// Entries of one page of a list.
    public var page = 1_000

    public init() {}
  }

  public init(root: String, host: String = "127.0.0.1", port: Int = 5_000) {
    self.root = root
    self.host = host
    self.port = port
  }
}

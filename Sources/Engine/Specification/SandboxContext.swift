import Errors
import Glibc
import Netlink

/// What only the running engine knows when a sandbox is described.
public struct SandboxContext: Sendable {
  /// Another instance whose namespaces are to be joined.
  public struct Peer: Sendable {
    public var id: String
    /// Of its first process; 0 where it does not run.
    public var pid: Int32
    public var paths: InstancePaths
    public var configuration: InstanceConfiguration
    public init(id: String, pid: Int32, paths: InstancePaths, configuration: InstanceConfiguration) {
      self.id = id
      self.pid = pid
      self.paths = paths
      self.configuration = configuration
    }
  }

  public var paths: InstancePaths
  public var cgroupParent: String
  public var host: HostFacts
  /// The instances that `container:<id>` modes name, by what follows the colon.
  public var peers: [String: Peer]
  /// The instances that links of the network `bridge` name.
  public var linked: [LinkedInstance]
  /// Where the instance reaches the host; nil: nowhere.
  public var hostGateway: IPAddress?
  /// A name server of ours answers the instance.
  public var servesNames: Bool

  public init(
    paths: InstancePaths, cgroupParent: String, host: HostFacts = .current, peers: [String: Peer] = [:],
    linked: [LinkedInstance] = [], hostGateway: IPAddress? = nil, servesNames: Bool = false
  ) {
    self.paths = paths
    self.cgroupParent = cgroupParent
    self.host = host
    self.peers = peers
    self.linked = linked
    self.hostGateway = hostGateway
    self.servesNames = servesNames
  }
}

extension InstanceConfiguration {
  /// The instances whose namespaces it joins: what follows `container:` in its modes.
  public var joinedInstances: Set<String> {
    Set([namespaces.pid, namespaces.ipc, network.mode].compactMap { $0.flatMap(Self.joined) })
  }

  static func joined(_ mode: String) -> String? {
    mode.hasPrefix("container:") ? String(mode.dropFirst("container:".count)) : nil
  }

  /// The name the instance has: its own, the host's where it shares that, else the start of its id.
  ///
  /// - Parameter peer: whose network it joins.
  public func hostname(id: String, peer: SandboxContext.Peer? = nil) -> String {
    if let hostname, !hostname.isEmpty { return hostname }
    if let peer { return peer.configuration.hostname(id: peer.id) }
    return namespaces.uts == "host" || network.mode == "host" ? Self.hostName : String(id.prefix(12))
  }

  private static var hostName: String {
    var names = utsname()
    uname(&names)
    return withUnsafeBytes(of: &names.nodename) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

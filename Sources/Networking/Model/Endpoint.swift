import Netlink

/// One instance's end in one network, as it is plugged while the instance runs.
public struct Endpoint: Sendable, Codable, Equatable {
  /// 64 lower-case hex digits; what the interface on the host is named by.
  public var id: String
  public var networkID: String
  /// Inside: `eth0`, `eth1`, …
  public var interface: String
  public var mac: MACAddress
  /// With the subnet's prefix length.
  public var ipv4: IPSubnet?
  public var ipv6: IPSubnet?
  /// More addresses of its own, on-link only (Docker's link-local addresses).
  public var additional: [IPSubnet] = []
  /// Where this endpoint is the instance's default route.
  public var gateway4: IPAddress?
  public var gateway6: IPAddress?
  public var rate = RateLimit()

  /// Bits per second, either way as the instance sees it; nil: no limit (tc-tbf(8)).
  public struct RateLimit: Sendable, Codable, Equatable {
    /// To the instance.
    public var ingress: UInt64?
    /// From the instance.
    public var egress: UInt64?
    public init(ingress: UInt64? = nil, egress: UInt64? = nil) {
      self.ingress = ingress
      self.egress = egress
    }
    public var isLimited: Bool { ingress != nil || egress != nil }
  }

  public init(
    id: String, networkID: String, interface: String, mac: MACAddress, ipv4: IPSubnet? = nil, ipv6: IPSubnet? = nil
  ) {
    self.id = id
    self.networkID = networkID
    self.interface = interface
    self.mac = mac
    self.ipv4 = ipv4
    self.ipv6 = ipv6
  }

  /// What the ends of instances on the host begin with.
  public static let hostPrefix = "av"

  /// The end on the host (bridge): `av` and twelve digits of the id.
  public var hostInterface: String { Self.hostPrefix + id.prefix(12) }

  public var addresses: [IPAddress] { [ipv4, ipv6].compactMap { $0?.address } }
}

import Netlink

public enum PortProtocol: String, Sendable, Codable, CaseIterable {
  case tcp, udp, sctp
  /// IANA's number.
  public var number: UInt8 {
    switch self {
    case .tcp: 6
    case .udp: 17
    case .sctp: 132
    }
  }
}

/// One port of the host that leads to one port of an instance, in one family.
public struct PublishedPort: Sendable, Codable, Hashable {
  public var proto: PortProtocol
  /// `0.0.0.0` or `::`: every address of the host. Its family is the family of the whole rule.
  public var hostAddress: IPAddress
  public var hostPort: UInt16
  /// Of the same family as ``hostAddress``.
  public var address: IPAddress
  public var port: UInt16

  public init(proto: PortProtocol, hostAddress: IPAddress, hostPort: UInt16, address: IPAddress, port: UInt16) {
    self.proto = proto
    self.hostAddress = hostAddress
    self.hostPort = hostPort
    self.address = address
    self.port = port
  }
}

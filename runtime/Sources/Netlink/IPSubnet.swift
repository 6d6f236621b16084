/// An address with the length of its network's prefix: `172.18.0.0/16`, or an interface's `172.18.0.2/16`.
public struct IPSubnet: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
  public let address: IPAddress
  /// In bits.
  public let prefixLength: Int

  /// - Parameter prefixLength: in 0…`address.width`.
  public init(_ address: IPAddress, prefixLength: Int) {
    precondition((0...address.width).contains(prefixLength), "a prefix is no longer than its address")
    self.address = address
    self.prefixLength = prefixLength
  }

  /// `address/length`; nil for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let address = IPAddress(String(parts[0])), (1...3).contains(parts[1].utf8.count),
      parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(parts[1]), length <= address.width
    else { return nil }
    self.init(address, prefixLength: length)
  }

  public var description: String { "\(address)/\(prefixLength)" }

  public var family: IPAddress.Family { address.family }

  private var hostBits: Int { address.width - prefixLength }
  private var hostMask: UInt128 { hostBits == 128 ? .max : (UInt128(1) << UInt128(hostBits)) - 1 }

  /// The lowest address: the network's own.
  public var first: IPAddress { IPAddress(family, address.value & ~hostMask) }
  /// The highest: IPv4's broadcast address.
  public var last: IPAddress { IPAddress(family, address.value & ~hostMask | hostMask) }
  /// With nothing set beyond the prefix.
  public var network: IPSubnet { IPSubnet(first, prefixLength: prefixLength) }

  public func contains(_ address: IPAddress) -> Bool {
    address.family == family && (first.value...last.value).contains(address.value)
  }

  public func contains(_ other: IPSubnet) -> Bool {
    other.prefixLength >= prefixLength && contains(other.address)
  }

  public func overlaps(_ other: IPSubnet) -> Bool { contains(other.network) || other.contains(network) }
}

extension IPSubnet: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let subnet = IPSubnet(text) else {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "\(text) is not a subnet"))
    }
    self = subnet
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

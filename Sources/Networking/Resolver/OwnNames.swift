import Netlink

/// Answers from the engine's names.
struct OwnNames {
  private struct Rotation: Hashable {
    let name: String
    let family: IPAddress.Family
  }

  private let source: any NameSource
  /// How often each name with several addresses has been asked for.
  private var rotations: [Rotation: Int] = [:]
  private static let mostRotations = 4096

  init(source: any NameSource) { self.source = source }

  /// nil where the question is not about a name of ours.
  mutating func answer(_ question: DNSQuestion, for instance: String) -> DNSAnswer? {
    guard question.recordClass == 1, let name = question.name.text, !name.isEmpty else { return nil }
    if let address = ReverseName.address(name) {
      guard let target = source.name(of: address, for: instance).flatMap({ DNSName($0) }) else { return nil }
      let isAsked = question.type == DNSType.ptr || question.type == DNSType.any
      return DNSAnswer(.noError, isAsked ? [.name(target)] : [])
    }
    switch question.type {
    case DNSType.a: return addresses(name, .v4, instance)
    case DNSType.aaaa: return addresses(name, .v6, instance)
    default:
      guard let v4 = addresses(name, .v4, instance), let v6 = addresses(name, .v6, instance) else { return nil }
      guard question.type == DNSType.any else { return DNSAnswer() }
      // One kind of record is enough (RFC 8482, 4.1).
      return v4.records.isEmpty ? v6 : v4
    }
  }

  private mutating func addresses(_ name: String, _ family: IPAddress.Family, _ instance: String) -> DNSAnswer? {
    guard let addresses = source.addresses(of: name, family: family, for: instance) else { return nil }
    guard addresses.count > 1 else { return DNSAnswer(.noError, addresses.map { .address($0) }) }
    // A count of each name: with one of all, a client that asks for two names in turn, or for both families, would always
    // get the same order.
    if rotations.count >= Self.mostRotations { rotations.removeAll(keepingCapacity: true) }
    let turn = rotations[Rotation(name: name, family: family), default: 0]
    rotations[Rotation(name: name, family: family)] = (turn + 1) % addresses.count
    let start = turn % addresses.count
    return DNSAnswer(.noError, (addresses[start...] + addresses[..<start]).map { .address($0) })
  }
}

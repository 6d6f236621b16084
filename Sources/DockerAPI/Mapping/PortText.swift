import Errors
import Networking

/// Ports as the API writes them: `80/tcp`, `80` (TCP's), `8000-8010/udp`.
struct PortText: Sendable {
  let proto: PortProtocol
  let ports: ClosedRange<UInt16>

  /// - Throws: `invalidArgument` in Docker's words.
  init(_ text: String) throws(ApusError) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let ports = Self.ports(parts[0]) else { throw Self.invalid(text) }
    let name = parts.count == 2 && !parts[1].isEmpty ? parts[1].lowercased() : "tcp"
    guard let proto = PortProtocol(rawValue: name) else {
      throw ApusError(.invalidArgument, "invalid proto: \(name), in the port '\(text)': it is tcp, udp or sctp")
    }
    self.proto = proto
    self.ports = ports
  }

  /// A port of a container: one, and not 0.
  static func port(_ text: String) throws(ApusError) -> (proto: PortProtocol, port: UInt16) {
    let found = try PortText(text)
    guard found.ports.count == 1, found.ports.lowerBound > 0 else { throw invalid(text) }
    return (found.proto, found.ports.lowerBound)
  }

  /// `80` or `80-90`; nil for anything else.
  static func ports(_ text: Substring) -> ClosedRange<UInt16>? {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count <= 2, let first = number(parts[0]), let last = number(parts[parts.count - 1]), first <= last
    else { return nil }
    return first...last
  }

  static func invalid(_ text: some StringProtocol) -> ApusError {
    ApusError(.invalidArgument, "invalid port specification: \"\(text)\"")
  }

  private static func number(_ text: Substring) -> UInt16? {
    text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt16(text) : nil
  }
}

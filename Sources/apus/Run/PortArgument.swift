/// The arguments of `--publish`, `--unpublish` and `--expose`.
enum PortArgument {
  struct Published: Equatable {
    /// `80/tcp`
    let inside: String
    /// Of the host; empty: every one.
    let address: String
    /// Of the host. Empty: any free port; a range: the first free one of it.
    let outside: String
  }

  /// What is wrong, without saying where.
  private struct Mistake: Error {
    let why: String
  }

  private static let form = "it wants [[IP:]PORT:]PORT[/PROTOCOL], such as 8080:80 or 127.0.0.1:53:53/udp"

  /// `PORT[-PORT][/PROTOCOL]`, one by one: `80/tcp`, `81/tcp`.
  static func exposed(_ text: String) throws(UsageError) -> [String] {
    do throws(Mistake) {
      if text.contains(":") { throw Mistake(why: "a port of the host belongs to --publish") }
      let (ports, transport) = try transport(text[...])
      return try range(ports).map { "\($0)/\(transport)" }
    } catch {
      throw UsageError("Option --expose cannot be '\(text)': \(error.why).")
    }
  }

  /// `[[IP:]PORT:]PORT[/PROTOCOL]`, with ranges, or `published=8080,target=80,protocol=tcp`.
  ///
  /// - Parameter option: what the text was given to, for the message.
  static func published(_ text: String, option: String = "publish") throws(UsageError) -> [Published] {
    do throws(Mistake) {
      return try mappings(text.contains("=") ? try short(text) : text)
    } catch {
      throw UsageError("Option --\(option) cannot be '\(text)': \(error.why).")
    }
  }

  /// The API's `PortBindings`.
  static func bindings(_ ports: [Published]) -> JSON {
    var members: [JSON.Member] = []
    var positions: [String: Int] = [:]
    for port in ports {
      let binding: JSON = ["HostIp": .string(port.address), "HostPort": .string(port.outside)]
      if let position = positions[port.inside] {
        members[position].value = .array(members[position].value.elements + [binding])
      } else {
        positions[port.inside] = members.count
        members.append(.init(key: port.inside, value: [binding]))
      }
    }
    return .object(members)
  }

  // MARK: Forms

  /// The short form of a long one.
  private static func short(_ text: String) throws(Mistake) -> String {
    var values = ["protocol": "tcp", "published": "", "mode": "host"]
    for field in FieldList.split(text) {
      let (key, value) = FieldList.pair(field)
      guard let value else { throw Mistake(why: "the field '\(field)' is not written as key=value") }
      guard ["published", "target", "protocol", "mode"].contains(key) else {
        throw Mistake(why: "there is no field '\(key)'; there are published, target, protocol and mode")
      }
      values[key] = value
    }
    guard let target = values["target"], !target.isEmpty else {
      throw Mistake(why: "it does not say which port of the container: target=80")
    }
    // On one machine the two are the same.
    guard let mode = values["mode"], ["host", "ingress"].contains(mode) else {
      throw Mistake(why: "'\(values["mode"] ?? "")' is not a mode; there are host and ingress")
    }
    return "\(values["published"] ?? ""):\(target)/\(values["protocol"] ?? "")"
  }

  private static func mappings(_ text: String) throws(Mistake) -> [Published] {
    let (ports, transport) = try transport(text[...])
    let parts = ports.split(separator: ":", omittingEmptySubsequences: false)
    guard let last = parts.last, !last.isEmpty else {
      throw Mistake(why: text.isEmpty ? form : "it does not say which port of the container")
    }
    if let address = lonelyAddress(parts.dropLast().joined(separator: ":")) {
      throw Mistake(why: "for any free port of one address write \(address)::\(last)")
    }
    // An IPv6 address has colons of its own: it is whatever stands before the last two parts.
    let address = try address(parts.dropLast(2).joined(separator: ":"))
    let host = parts.count > 1 ? parts[parts.count - 2] : ""
    let inside = try range(last)
    // Docker takes 0 for any free port too.
    guard !host.isEmpty, host != "0" else {
      return inside.map { Published(inside: "\($0)/\(transport)", address: address, outside: "") }
    }
    let outside = try range(host)
    if outside.count == inside.count {
      return zip(inside, outside).map { Published(inside: "\($0)/\(transport)", address: address, outside: "\($1)") }
    }
    guard inside.count == 1 else {
      let ports = outside.count == 1 ? "one port" : "\(outside.count) ports"
      throw Mistake(why: "\(ports) of the host cannot lead to \(inside.count) of the container")
    }
    return [Published(inside: "\(inside.lowerBound)/\(transport)", address: address, outside: String(host))]
  }

  // MARK: Parts

  /// What precedes the protocol, and the protocol.
  private static func transport(_ text: Substring) throws(Mistake) -> (ports: Substring, transport: String) {
    guard let slash = text.firstIndex(of: "/") else { return (text, "tcp") }
    let transport = text[text.index(after: slash)...].lowercased()
    guard ["tcp", "udp", "sctp"].contains(transport) else {
      throw Mistake(why: "'\(transport)' is not a protocol; there are tcp, udp and sctp")
    }
    return (text[..<slash], transport)
  }

  /// Without the brackets.
  private static func address(_ text: String) throws(Mistake) -> String {
    if text.isEmpty { return "" }
    let bare = text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
    guard Address(bare) != nil else { throw Mistake(why: "'\(bare)' is not an IP address") }
    return bare
  }

  /// The address of `127.0.0.1:80` and `[::1]:80`, which lack a port of the host, or the place of one.
  private static func lonelyAddress(_ text: String) -> String? {
    if text.hasPrefix("["), text.hasSuffix("]"), Address(String(text.dropFirst().dropLast())) != nil { return text }
    return !text.contains(":") && Address(text) != nil ? text : nil
  }

  private static func range(_ text: Substring) throws(Mistake) -> ClosedRange<Int> {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count <= 2, let first = ends.first, let last = ends.last else { throw Mistake(why: form) }
    let lower = try number(first), upper = try number(last)
    guard lower <= upper else { throw Mistake(why: "the range \(text) runs backwards") }
    return lower...upper
  }

  private static func number(_ text: Substring) throws(Mistake) -> Int {
    guard text.allSatisfy({ $0.isASCII && $0.isNumber }), let value = Int(text), (1...65535).contains(value) else {
      throw Mistake(why: "'\(text)' is not a port, a number from 1 to 65535")
    }
    return value
  }
}

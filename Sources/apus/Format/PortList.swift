/// The ports of a container in one cell, in Docker's order: `443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp`.
enum PortList {
  private struct Port {
    let address: String
    /// 0 where it is exposed and not published.
    let outside: Int
    let inside: Int
    let transport: String

    init(_ port: JSON) {
      address = port["IP"].string ?? ""
      outside = Int(port["PublicPort"].int ?? 0)
      inside = Int(port["PrivatePort"].int ?? 0)
      transport = port["Type"].string ?? "tcp"
    }

    /// Published under another number.
    var isTranslated: Bool { outside > 0 && outside != inside }

    func isAlike(_ other: Port) -> Bool { address == other.address && transport == other.transport }

    static func precedes(_ left: Port, _ right: Port) -> Bool {
      if left.inside != right.inside { return left.inside < right.inside }
      let isV6 = (left.address.contains(":"), right.address.contains(":"))
      if isV6.0 != isV6.1 { return isV6.1 }
      if left.address != right.address { return left.address < right.address }
      return left.outside != right.outside ? left.outside < right.outside : left.transport < right.transport
    }
  }

  /// Ports that follow one another, inside and outside.
  private struct Run {
    let first: Port
    var count = 1

    func isContinued(by port: Port) -> Bool {
      port.inside == first.inside + count && port.isAlike(first)
        && port.outside == (first.outside == 0 ? 0 : first.outside + count)
    }

    var text: String {
      let inside = "\(Self.range(first.inside, count))/\(first.transport)"
      if first.outside == 0 { return inside }
      let address = first.address.contains(":") ? "[\(first.address)]" : first.address
      return "\(address):\(Self.range(first.outside, count))->\(inside)"
    }

    private static func range(_ first: Int, _ count: Int) -> String {
      count == 1 ? "\(first)" : "\(first)-\(first + count - 1)"
    }
  }

  static func text(_ ports: [JSON]) -> String {
    let ports = ports.map(Port.init).sorted(by: Port.precedes)
    // One run of each address and protocol is open; those that ended before it come first.
    var ended: [Run] = [], open: [Run] = []
    for port in ports where !port.isTranslated {
      guard let position = open.firstIndex(where: { $0.first.isAlike(port) }) else {
        open.append(Run(first: port))
        continue
      }
      if open[position].isContinued(by: port) {
        open[position].count += 1
      } else {
        ended.append(open[position])
        open[position] = Run(first: port)
      }
    }
    // Docker shows these one by one.
    var translated: [Run] = []
    for port in ports where port.isTranslated {
      if let position = translated.lastIndex(where: { $0.isContinued(by: port) }) {
        translated[position].count += 1
      } else {
        translated.append(Run(first: port))
      }
    }
    return (ended + open + translated).map(\.text).joined(separator: ", ")
  }
}

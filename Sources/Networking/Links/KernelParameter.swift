import Errors
import Glibc
import Linux
import Netlink

/// One of the kernel's network parameters with the value it should have (sysctl(8)).
///
/// Each is set only where something needs it, and a change is reported: it can concern the whole host.
public struct KernelParameter: Sendable, Hashable {
  /// Below /proc/sys; `sysctl` takes it with the slashes too.
  public let name: String
  public let value: String

  public init(_ name: String, value: String) {
    self.name = name
    self.value = value
  }

  /// What was changed from what, to what.
  public struct Change: Sendable, Hashable, CustomStringConvertible {
    public let name: String
    public let old: String
    public let new: String
    public var description: String { "\(name) is \(new) now, it was \(old)" }
  }

  /// Of the namespace the calling thread is in; nil where the kernel has none of the name.
  public var current: String? {
    guard let bytes = try? Files.read(path, limit: 4096) else { return nil }
    return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }

  /// Gives it the value, in the namespace the calling thread is in.
  ///
  /// - Returns: nil where it has the value already, or the kernel has nothing of the name (no IPv6, no bridge filter).
  @discardableResult
  public func set() throws(ApusError) -> Change? {
    guard let old = current, old != value else { return nil }
    do {
      try Files.write(value, toExisting: path)
    } catch {
      throw ApusError(error.code, "cannot set the kernel's \(name) to \(value): \(error.message)", cause: error)
    }
    return Change(name: name, old: old, new: value)
  }

  private var path: String { "/proc/sys/\(name)" }
}

extension KernelParameter {
  /// Off: what routers announce on an interface is ignored, so an instance cannot make itself the router of others, nor
  /// of the host (CVE-2020-13401).
  public static func acceptRouterAdvertisements(_ value: Int, on interface: String) -> KernelParameter {
    KernelParameter("net/ipv6/conf/\(interface)/accept_ra", value: "\(value)")
  }

  /// IPv6 on one interface, whatever the host's default is.
  public static func allowIPv6(on interface: String) -> KernelParameter {
    KernelParameter("net/ipv6/conf/\(interface)/disable_ipv6", value: "0")
  }

  /// Packets with 127.0.0.0/8 as source or destination may pass an interface: published ports of 127.0.0.1 need it.
  public static func routeLoopback(on interface: String) -> KernelParameter {
    KernelParameter("net/ipv4/conf/\(interface)/route_localnet", value: "1")
  }

  /// Off: bridged IPv6 packets do not pass ip6tables, where br_netfilter is loaded. They would have their addresses
  /// translated back too early for published ports of ::1.
  public static let bridgedPacketsSkipIP6Tables = KernelParameter(
    "net/bridge/bridge-nf-call-ip6tables", value: "0")

  /// On: bridged IPv4 packets pass iptables, where br_netfilter is loaded. Others on the host may need it so.
  static let bridgedPacketsPassIPTables = KernelParameter("net/bridge/bridge-nf-call-iptables", value: "1")

  /// It has the value now.
  var isSet: Bool { current == value }

  /// The host forwards packets of a family.
  private static func forwarding(_ family: IPAddress.Family) -> KernelParameter {
    switch family {
    case .v4: KernelParameter("net/ipv4/ip_forward", value: "1")
    case .v6: KernelParameter("net/ipv6/conf/all/forwarding", value: "1")
    }
  }

  /// Makes the host forward packets of a family.
  ///
  /// A host that forwards IPv6 ignores what routers announce, and would lose addresses and routes it has from them: its
  /// interfaces are set to keep listening first (accept_ra 2).
  public static func forward(_ family: IPAddress.Family) throws(ApusError) -> [Change] {
    let forwarding = Self.forwarding(family)
    guard let current = forwarding.current, current != forwarding.value else { return [] }
    var changes: [Change] = []
    if family == .v6 {
      let directory = try Files.open("/proc/sys/net/ipv6/conf", flags: O_RDONLY | O_DIRECTORY)
      for (name, _) in try Files.entries(of: directory.raw) where !["all", "default", "lo"].contains(name) {
        let parameter = acceptRouterAdvertisements(2, on: name)
        if parameter.current == "1", let change = try parameter.set() { changes.append(change) }
      }
    }
    if let change = try forwarding.set() { changes.append(change) }
    return changes
  }
}

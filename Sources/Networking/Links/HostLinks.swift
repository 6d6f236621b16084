import Errors
import Netlink

/// What is on the host already.
public enum HostLinks {
  private static let prefix = "apus "

  /// What stands on the interfaces of an engine (ifalias).
  public static func alias(of identity: String) -> String { prefix + identity }

  /// Whether an interface was made by an engine, this or another.
  public static func isOfAnEngine(_ link: Link) -> Bool { link.alias?.hasPrefix(prefix) == true }

  /// The interfaces that an engine has made, but for the ends of instances.
  public static func links(of identity: String) throws(ApusError) -> [Link] {
    var socket = try NetlinkSocket()
    return try socket.links().filter { $0.alias == alias(of: identity) }
  }

  /// The names of all interfaces.
  public static func names() throws(ApusError) -> Set<String> {
    var socket = try NetlinkSocket()
    return Set(try socket.links().map(\.name))
  }

  /// The ranges of addresses that the host reaches in a way of its own: what its interfaces have and its routes lead to.
  /// A network that overlaps one would cut the host off from it.
  ///
  /// - Parameter excluded: interfaces that do not count.
  public static func subnetsInUse(except excluded: Set<String> = []) throws(ApusError) -> [IPSubnet] {
    var socket = try NetlinkSocket()
    let excluded = Set(try socket.links().filter { excluded.contains($0.name) }.map(\.index))
    var subnets = Set(try socket.addresses().filter { !excluded.contains($0.index) }.map(\.address.network))
    for route in try socket.routes() where route.destination.prefixLength > 0 {
      if let index = route.index, excluded.contains(index) { continue }
      subnets.insert(route.destination.network)
    }
    return subnets.filter { !$0.address.isLinkLocal && !$0.address.isMulticast }
      .sorted { ($0.address, $0.prefixLength) < ($1.address, $1.prefixLength) }
  }
}

import Netlink

/// What instances are called, and by whom: the engine answers from its own state.
///
/// Called on the resolver's thread, for every query: it must return at once.
public protocol NameSource: Sendable {
  /// The addresses of a name (lower case, without the trailing dot) as this instance sees it; nil: not a name of ours, ask
  /// other servers; empty: ours, but no address of this family.
  func addresses(of name: String, family: IPAddress.Family, for instance: String) -> [IPAddress]?

  /// The name of an address in the instance's networks, such as `web.appnet`; nil: not ours.
  func name(of address: IPAddress, for instance: String) -> String?
}

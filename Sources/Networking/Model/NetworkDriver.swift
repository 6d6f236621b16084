import Errors
import Netlink

/// What makes a kind of network on the host, and hands out ends to plug. All of it blocks and takes milliseconds at most.
///
/// Everything may be repeated: what is there already in the wanted form is left as it is, what is gone already is fine.
public protocol NetworkDriver: Sendable {
  /// Makes the network on the host, or brings what is there into its form.
  func prepare(_ network: NetworkDefinition) throws(ApusError)

  /// Takes it from the host, with whatever is still plugged.
  func remove(_ network: NetworkDefinition) throws(ApusError)

  /// Puts an interface into a network namespace: named, addressed, up, with its routes.
  ///
  /// On failure nothing of it is left. A process of the instance may run already.
  func plug(
    _ endpoint: Endpoint, of network: NetworkDefinition, into namespace: NetworkNamespace
  ) throws(ApusError)

  /// Takes the interface away. The namespace may have gone already: pass nil where it has; the kernel then takes the
  /// interface away by itself, soon after the last process and descriptor of the namespace are gone.
  func unplug(
    _ endpoint: Endpoint, of network: NetworkDefinition, from namespace: NetworkNamespace?
  ) throws(ApusError)

  /// Makes a tap for a machine, plugged as ``plug(_:of:into:)`` would; the machine configures its own side.
  ///
  /// - Parameter owner: the user who may open it.
  /// - Returns: its name.
  func makeTap(
    _ endpoint: Endpoint, of network: NetworkDefinition, owner: UInt32
  ) throws(ApusError) -> String
}

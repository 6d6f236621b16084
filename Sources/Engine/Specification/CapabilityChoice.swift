import Errors
import Linux

/// The capabilities an instance gets.
struct CapabilityChoice {
  /// What Docker gives: enough for ordinary software to drop privileges and to serve, nothing over the host.
  static let standard: Capabilities = [
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
  ].reduce(into: []) { $0.formUnion(Capabilities(named: $1) ?? []) }

  let capabilities: Capabilities

  /// - Throws: `invalidArgument` for a name that is none, or one that this host cannot give.
  init(_ security: SecurityConfiguration, host: HostFacts) throws(ApusError) {
    let added = try Self.parse(security.addCapabilities, host: host, option: "CapAdd")
    let dropped = try Self.parse(security.dropCapabilities, host: host, option: "CapDrop")
    if security.privileged {
      capabilities = host.capabilities
    } else if added.all {
      capabilities = host.capabilities.subtracting(dropped.named)
    } else if dropped.all {
      capabilities = added.named
    } else {
      // A daemon that is confined itself gives what it has of the standard set.
      capabilities = Self.standard.intersection(host.capabilities).subtracting(dropped.named).union(added.named)
    }
  }

  private static func parse(
    _ names: [String], host: HostFacts, option: String
  ) throws(ApusError) -> (named: Capabilities, all: Bool) {
    var named: Capabilities = []
    var all = false
    for name in names {
      if name.uppercased() == "ALL" {
        all = true
        continue
      }
      let upper = name.uppercased()
      let full = upper.hasPrefix("CAP_") ? upper : "CAP_" + upper
      guard let one = Capabilities(named: full) else {
        throw ApusError(.invalidArgument, "invalid \(option): unknown capability: \"\(full)\"")
      }
      guard host.capabilities.contains(one) else {
        throw ApusError(
          .invalidArgument,
          "invalid \(option): capability not supported by your kernel or not available in the current environment: "
            + "\"\(full)\"")
      }
      named.formUnion(one)
    }
    return (named, all)
  }
}

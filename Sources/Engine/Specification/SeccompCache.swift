import Errors
import Linux
import RuntimeSpec
import Synchronization

/// The standard filter's section by capability set. Nearly every instance has the same set, and equal sections become
/// equal bytes, by which the runtime finds the filter it compiled before.
final class SeccompCache: Sendable {
  private let sections = Mutex<[Capabilities: LinuxSeccomp]>([:])
  /// Sets a user can ask for are 2^41; those a host sees are a handful.
  private static let capacity = 64

  func section(capabilities: Capabilities, host: HostFacts) -> LinuxSeccomp {
    if let known = sections.withLock({ $0[capabilities] }) { return known }
    let made = SeccompProfile.standard.section(capabilities: capabilities, host: host)
    sections.withLock { sections in
      if sections.count >= Self.capacity { sections.removeAll() }
      sections[capabilities] = made
    }
    return made
  }
}

import Errors
import Linux
import Netlink
import Synchronization

/// An instance that is to be served.
struct ServedRequest: Sendable {
  let instance: String
  let sockets: InstanceSockets
  let upstreams: [IPAddress]
  let forwards: Bool
}

/// What other threads want of the resolver's.
final class ResolverInbox: Sendable {
  enum Command: Sendable {
    case serve(ServedRequest)
    case stop(String)
    case end
  }

  private let commands = Mutex<[Command]>([])
  private let counter: OwnedDescriptor

  /// Readable when there is something.
  var descriptor: Int32 { counter.raw }

  init() throws(ApusError) { counter = try EventDescriptors.counter() }

  func send(_ command: Command) {
    let isFirst = commands.withLock { commands in
      commands.append(command)
      return commands.count == 1
    }
    if isFirst { EventDescriptors.signal(counter: counter.raw) }
  }

  func take() -> [Command] {
    _ = EventDescriptors.drain(counter.raw)
    return commands.withLock { commands in
      defer { commands = [] }
      return commands
    }
  }
}

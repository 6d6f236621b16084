import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

/// Tells the caller's service manager when the program in a container is ready (sd_notify(3)).
///
/// The manager's socket is not for containers: it believes what is said there. The container gets one of ours, and of what
/// comes there only that the program is ready is passed on, with the number that its first process has on the host.
final class NotifySocket {
  private static let directory = "notify"
  private static let name = "notify.sock"
  private static let place = "/run/notify"
  /// As much as a message of this kind has.
  private static let longest = 4096

  /// The manager's.
  private let manager: String
  private let socket: OwnedDescriptor

  /// Whether the caller wants to be told (`NOTIFY_SOCKET`).
  static var isWanted: Bool { manager != nil }

  private static var manager: String? {
    guard let text = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }) else { return nil }
    return text.hasPrefix("/") || text.hasPrefix("@") ? text : nil
  }

  /// Adds what the container sees of it: a directory, in which the socket appears when somebody listens.
  static func add(to spec: inout Spec, in state: StateDirectory) throws(ApusError) {
    let path = try state.makeDirectory(directory, mode: 0o755)
    spec.mounts.append(
      MountSpec(
        destination: place, type: "bind", source: path, options: ["bind", "nosuid", "noexec", "nodev", "ro"]))
    spec.process?.env.removeAll { $0.hasPrefix("NOTIFY_SOCKET=") }
    spec.process?.env.append("NOTIFY_SOCKET=\(place)/\(name)")
  }

  /// Listens; before the program is started. Nil where nobody wants to be told, or the container was made without.
  init?(in state: StateDirectory, blocking: Bool = true) throws(ApusError) {
    guard let manager = Self.manager, state.has(Self.directory) else { return nil }
    self.manager = manager
    let path = "\(try state.path())/\(Self.directory)/\(Self.name)"
    socket = try UnixSocket.bind(at: path, nonBlocking: !blocking)
    // Whoever the program runs as.
    try check(chmod(path, 0o777), "cannot let everybody write to \(path)")
  }

  var descriptor: Int32 { socket.raw }

  /// Waits until the program says that it is ready, or the container's first process has ended; tells the manager, and
  /// which process it is to watch from then on.
  func wait(for process: pid_t, log: Log) {
    do throws(ApusError) {
      let first = try Processes.open(process)
      while true {
        var waits = [
          pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0),
          pollfd(fd: first.raw, events: Int16(POLLIN), revents: 0),
        ]
        guard retrying({ poll(&waits, 2, -1) }) > 0 else { return }
        if waits[0].revents != 0, let ready = try received() {
          return try tell([ready, "MAINPID=\(process)"], barrier: true)
        }
        if waits[0].revents == 0, waits[1].revents != 0 { return }
      }
    } catch {
      log.write(.warning, "cannot tell the service manager that the container is ready: \(error.message)")
    }
  }

  /// Passes on what has come, for a caller who stays, and stays the process to be watched.
  func passOn(log: Log) {
    do throws(ApusError) {
      while let ready = try received() { try tell([ready], barrier: false) }
    } catch {
      guard error.errno != EAGAIN else { return }
      log.write(.warning, "cannot tell the service manager that the container is ready: \(error.message)")
    }
  }

  /// The line of the next message that says so; nil for a message that does not.
  private func received() throws(ApusError) -> String? {
    let bytes = try UnixSocket.receive(on: socket.raw, limit: Self.longest).bytes
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    return lines.first { $0.hasPrefix("READY=") }.map(String.init)
  }

  /// - Parameter barrier: wait until it has been read, because the manager looks at who has sent it.
  private func tell(_ lines: [String], barrier: Bool) throws(ApusError) {
    let manager = try UnixSocket.connect(to: manager, kind: .datagrams)
    for line in lines { try UnixSocket.send(Array("\(line)\n".utf8), on: manager.raw) }
    guard barrier else { return }
    // The manager closes what comes along (sd_notify_barrier(3)).
    var pipe = try Pipe()
    try UnixSocket.send(Array("BARRIER=1".utf8), descriptors: [pipe.writeEnd.raw], on: manager.raw)
    pipe.writeEnd = OwnedDescriptor(owning: -1)
    var wait = pollfd(fd: pipe.readEnd.raw, events: 0, revents: 0)
    _ = retrying { poll(&wait, 1, 30_000) }
  }
}

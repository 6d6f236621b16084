import Container
import Errors
import Glibc
import Linux
import RuntimeSpec
import SandboxProtocol

/// One container's keeper: parent of its processes, owner of their streams, its log and its exit code. It does the same
/// with or without a daemon, and ends when the container has ended.
final class Shim {
  enum Phase {
    case waiting
    case created
    case running
    /// The first process is dead; what it left behind is being collected.
    case ending
    /// Everything is cleaned up; what is still to be sent is being sent.
    case ended
  }

  let id: String
  let loop: EventLoop
  var phase = Phase.waiting
  var container: Container?
  /// What has been made of it ahead of the request.
  var preparation: ContainerPreparation?
  var streams: StreamHub?
  var log: JSONLog?
  var execs: [String: ExecSession] = [:]
  var isPaused = false
  /// Whether the container has a PID namespace of its own.
  var ownsProcesses = false
  var listener: Listener?
  /// Set before the end when it was not the program's own doing.
  var failure: String?
  var exitPath = ""
  var oomKilled = false
  var exitCode: Int32 = 0
  private(set) var connections: [Connection] = []
  /// The daemon that started us: until the container runs, the end of this connection is the end of everything.
  private weak var first: Connection?
  private let signals: OwnedDescriptor

  init(id: String, connection: consuming OwnedDescriptor) throws(ApusError) {
    self.id = id
    loop = try EventLoop()
    signals = try EventDescriptors.signals([SIGCHLD, SIGTERM])
    loop.onIdle = { [unowned self] in trim() }
    _ = try loop.add(signals.raw, .readable, CallbackHandler { [unowned self] in readSignals() })
    first = accept(connection)
  }

  func run() throws(ApusError) { try loop.run() }

  // MARK: Connections

  @discardableResult
  func accept(_ descriptor: consuming OwnedDescriptor) -> Connection {
    let connection = Connection(descriptor, loop: loop)
    connection.onFrame = { [unowned self] in receive($1, from: $0) }
    connection.onClose = { [unowned self] in forget($0) }
    connection.onDrain = { [unowned self] in updateFlow() }
    connections.append(connection)
    return connection
  }

  private func forget(_ connection: Connection) {
    connections.removeAll { $0 === connection }
    guard !loop.isStopped else { return }
    streams?.detach(connection)
    for exec in execs.values { exec.streams.detach(connection) }
    listener?.resume()
    if connection === first {
      if phase == .waiting { return stop() }
      if phase == .created { kill() }
    }
    if phase == .ended { stopIfFlushed() }
  }

  private func updateFlow() {
    streams?.updateFlow()
    for exec in execs.values { exec.streams.updateFlow() }
    if phase == .ended { stopIfFlushed() }
  }

  /// Sends an event to those who subscribed.
  func publish(_ frame: Frame) {
    for connection in connections where connection.isSubscriber { connection.send(frame) }
  }

  func stopIfFlushed() {
    if connections.allSatisfy({ $0.pendingOutput == 0 }) { stop() }
  }

  /// Leaves the loop. Whoever waits for the end of a connection does not wait for the cgroup nor for the disk: the
  /// container's root goes last, and that can take as long as the disk is busy.
  func stop() {
    loop.stop()
    for connection in connections { connection.close() }
    preparation?.discard()
    removeCgroup()
    container?.releaseRoot()
  }

  // MARK: Signals

  private func readSignals() {
    while let (signal, _) = EventDescriptors.nextSignal(signals.raw) {
      // A host that shuts down, or an administrator: the container goes, and nothing of it stays.
      if signal == SIGTERM { kill() }
    }
    reap()
  }

  /// Collects every dead child, also those that became ours because their parents died.
  func reap() {
    var first: ExitStatus?
    while let (process, status) = Processes.reap() {
      if process == container?.process {
        first = status
      } else if let exec = execs.values.first(where: { $0.process == process }) {
        finish(exec, status)
      }
    }
    // Last, so that executed processes are reported before the container they were in.
    if let first, phase == .created || phase == .running { beginEnd(first.code) }
    if phase == .ending { endIfDone() }
  }

  /// Kills everything; the rest happens when the first process has been reaped.
  func kill() {
    guard let container else { return stop() }
    do throws(ApusError) {
      try container.killAll()
    } catch {
      // The cgroup may be broken; the first process takes its PID namespace along.
      _ = try? container.signal(SIGKILL)
    }
  }

  // MARK: Memory

  func watchOOM() {
    // For as long as the shim lives.
    guard let raw = try? container?.oomEvents().release() else { return }
    _ = try? loop.add(
      raw, .readable,
      CallbackHandler { [unowned self] in
        // An eventfd has eight bytes, an inotify descriptor as much as happened.
        var buffer: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
        _ = withUnsafeMutableBytes(of: &buffer) { read(raw, $0.baseAddress, $0.count) }
        checkOOM()
      })
  }

  func checkOOM() {
    guard !oomKilled, let container, container.oomKills > 0 else { return }
    oomKilled = true
    publish(Frame(.oom))
  }

  private func trim() {
    log?.trim()
    Scratch.release()
    Memory.trim()
  }
}

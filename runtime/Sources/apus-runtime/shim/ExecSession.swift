import Container
import Errors
import Linux
import RuntimeSpec
import SandboxProtocol

/// A process executed in the container, until its end has been told.
final class ExecSession {
  let id: String
  let process: Int32
  let streams: StreamHub
  /// Who asked for it, as long as it is there.
  weak var connection: Connection?
  let tag: UInt16
  var exitCode: Int32?

  init(id: String, process: Int32, streams: StreamHub, connection: Connection, tag: UInt16) {
    self.id = id
    self.process = process
    self.streams = streams
    self.connection = connection
    self.tag = tag
  }
}

extension Shim {
  /// How long descendants of an executed process may keep its streams open after its end.
  private static let execGrace: Int64 = 2000

  func exec(_ request: ExecRequest, from connection: Connection, tag: UInt16) throws(ApusError) {
    guard phase == .running, let container else {
      throw ApusError(.conflict, "container \(id) is not running")
    }
    guard !isPaused else { throw ApusError(.conflict, "container \(id) is paused, unpause it before exec") }
    guard execs[request.id] == nil else {
      throw ApusError(.conflict, "container \(id) already has a process with the exec id \(request.id)")
    }
    let ends = try StreamEnds(
      terminal: request.process.terminal
        ? terminalSize(request.rows, request.columns, request.process.consoleSize) : nil,
      input: request.stdin, output: request.stdout, error: request.stderr)
    var child = try container.exec(
      ExecConfiguration(
        process: request.process, user: request.user, additionalGroups: request.additionalGroups,
        streams: ends.theirs))
    let streams = try ends.hub(
      terminal: child.takeTerminal(), input: request.stdin, closesInput: true, log: nil, loop: loop)
    let session = ExecSession(
      id: request.id, process: child.process, streams: streams, connection: connection, tag: tag)
    execs[request.id] = session
    connection.send(Frame(.ok, tag: tag, ProcessStarted(pid: child.process)))
    streams.attach(
      Attachment(connection, tag: tag, stdin: request.stdin, stdout: request.stdout, stderr: request.stderr))
    streams.onEnd = { [unowned self, unowned session] in if session.exitCode != nil { conclude(session) } }
    streams.start()
  }

  /// The process is dead; its streams may still carry what it wrote.
  func finish(_ exec: ExecSession, _ status: ExitStatus) {
    exec.exitCode = status.code
    exec.streams.drain(regardless: false)
    if exec.streams.isDone { return conclude(exec) }
    awaitStreams(of: exec)
  }

  private func awaitStreams(of exec: ExecSession) {
    loop.after(Self.execGrace) { [unowned self, weak exec] in
      guard let exec, execs[exec.id] === exec else { return }
      // A slow client is not the same as a forgotten background process: its output is still to come.
      if exec.streams.isPaused { awaitStreams(of: exec) } else { exec.streams.end() }
    }
  }

  /// Tells the end of an executed process; after its last output, so that nobody leaves too early.
  func conclude(_ exec: ExecSession) {
    guard execs.removeValue(forKey: exec.id) != nil else { return }
    let event = ExecExited(id: exec.id, exitCode: exec.exitCode ?? 137)
    exec.connection?.send(Frame(.execExited, tag: exec.tag, event))
    exec.connection?.send(Frame(.end, tag: exec.tag))
    exec.streams.onEnd = {}
    exec.streams.end()
    publish(Frame(.execExited, event))
    if phase == .ending { endIfDone() }
  }
}

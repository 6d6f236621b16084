import Errors
import SandboxProtocol
import Synchronization

/// A further process in a running instance.
public final class Exec: Sendable {
  public let id: String
  public let instanceID: String
  private let instance: Instance
  private struct State {
    var record: ExecRecord
    var started = false
    /// Kept until the exit: its connection brings the exit code.
    var stream: ShimStream?
  }
  private let state: Mutex<State>

  init(id: String, configuration: ExecConfiguration, instance: Instance) {
    self.id = id
    self.instance = instance
    instanceID = instance.id
    state = Mutex(
      State(
        record: ExecRecord(
          id: id, instanceID: instance.id, configuration: configuration, running: false, exitCode: nil, pid: 0)))
  }

  public var record: ExecRecord { state.withLock { $0.record } }

  var commandLine: String { record.configuration.arguments.joined(separator: " ") }

  /// Starts it. With any stream in `options`, a session is connected; without, it runs detached and nil is returned.
  ///
  /// - Throws: `conflict` where it was started before or the instance does not run; an error with exit status 126 or 127
  ///   (``Errors/ApusError/exitStatus``) where the program cannot be run.
  public func start(_ options: AttachOptions, size: TerminalSize? = nil) async throws -> (any StreamSession)? {
    let again = state.withLock { state in
      defer { state.started = true }
      return state.started
    }
    if again { throw ApusError(.conflict, "exec command \(id) has already run") }
    let configuration = record.configuration
    var options = options
    options.detachKeys = options.detachKeys ?? configuration.detachKeys
    let attached = options.stdin || options.stdout || options.stderr
    let session =
      attached
      ? try AttachSession(terminal: configuration.terminal, options: options) { [instance, id] in
        Task { await instance.publish("exec_detach", ["execID": id]) }
      } : nil
    var asked = configuration
    asked.attachStdin = options.stdin
    asked.attachStdout = options.stdout
    asked.attachStderr = options.stderr
    do {
      let request = try await instance.execRequest(asked, id: id, size: size)
      let stream = try await instance.openStream { [weak self] code in self?.ended(code) }
      let answer = try await stream.begin(.exec, request.json())
      let process = try ProcessStarted(json: answer, subject: "The shim's answer")
      state.withLock { state in
        // A short one has ended by now.
        guard state.record.exitCode == nil else { return }
        state.record.pid = process.pid
        state.record.running = true
        state.stream = stream
      }
      await instance.publish("exec_start: " + commandLine, ["execID": id])
      session?.connect(stream)
      return session
    } catch {
      let status = (error as? ApusError)?.exitStatus
      state.withLock { $0.record.exitCode = status ?? 126 }
      instance.services.index.forgetLater(exec: id)
      throw error
    }
  }

  public func resize(_ size: TerminalSize) async throws {
    guard record.running else {
      throw ApusError(.conflict, "exec \(id) is not running")
    }
    try await instance.resizeExec(id, size)
  }

  /// Notes the exit, once. On the reactor's thread, before the end of the session's output is read.
  ///
  /// - Parameter code: nil where only the connection has closed. A client that leaves does not end the process: the
  ///   shim tells its exit over the instance's connection too.
  func ended(_ code: Int32?) {
    guard let code else { return }
    let known = state.withLock { state in
      let known = state.record.exitCode != nil
      if !known { state.record.exitCode = code }
      state.record.running = false
      state.record.pid = 0
      state.stream = nil
      return known
    }
    if known { return }
    Task { [instance, id] in await instance.publish("exec_die", ["execID": id, "exitCode": String(code)]) }
    instance.services.index.forgetLater(exec: id)
  }

  /// Its instance has ended, and it with that.
  func endedWithInstance() {
    if state.withLock({ $0.started }) { ended(137) }
  }
}

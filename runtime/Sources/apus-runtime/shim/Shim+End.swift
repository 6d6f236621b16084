import Container
import Errors
import Glibc
import Linux
import SandboxProtocol

extension Shim {
  /// How long to wait for processes that were killed, and for pipes that something outside the container holds open.
  private static let endGrace: Int64 = 5000
  /// How long a client may take to fetch the last output.
  private static let flushGrace: Int64 = 30_000

  /// The first process is dead: whatever is left of the container dies too.
  func beginEnd(_ code: Int32) {
    phase = .ending
    exitCode = code
    checkOOM()
    // The end of a PID namespace's first process is the end of all its processes, and has been waited for.
    if !ownsProcesses { kill() }
    // A terminal or a pipe is at its end only once the last process that had it is gone.
    streams?.drain(regardless: true)
    streams?.onEnd = { [unowned self] in endIfDone() }
    loop.after(Self.endGrace) { [unowned self] in if phase == .ending { end() } }
    endIfDone()
  }

  func endIfDone() {
    guard phase == .ending, streams?.isDone ?? true, execs.values.allSatisfy({ $0.exitCode != nil }) else { return }
    end()
  }

  /// Writes the exit code, then tells, then cleans up: whoever waits for the end need not wait for that. Who makes the
  /// container again has to, until this process has ended.
  private func end() {
    phase = .ended
    let attachments = streams?.attachments ?? []
    streams?.end()
    log?.finish()
    let record = ExitRecord(
      exitCode: exitCode, oomKilled: oomKilled, finishedAt: JSONLogEncoding.now, error: failure)
    try? Files.writeAtomically(record.json(), to: exitPath, mode: 0o600)
    listener?.close()
    listener = nil
    for exec in Array(execs.values) {
      exec.streams.drain(regardless: true)
      conclude(exec)
    }
    for attachment in attachments {
      attachment.connection.send(Frame(.end, tag: attachment.tag))
    }
    publish(Frame(.exited, record))
    leave()
  }

  /// Ends once everything has been sent.
  func leave() {
    phase = .ended
    loop.after(Self.flushGrace) { [unowned self] in stop() }
    stopIfFlushed()
  }

  func removeCgroup() {
    do throws(ApusError) {
      try container?.removeCgroup()
    } catch {
      // Something was forked while everything was being killed.
      kill()
      while Processes.reap() != nil {}
      // If that fails too, the next daemon finds the group and removes it.
      try? container?.removeCgroup()
    }
  }
}

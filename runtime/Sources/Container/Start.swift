import Errors
import Glibc
import Linux

extension Container {
  /// Lets the first process run its program; returns when the kernel has executed it. On failure the process has been
  /// reaped and the cgroup removed; the error's cause is an ``ExecFailure`` when the program could not be executed.
  public func start() throws(ApusError) {
    guard channel >= 0 else { throw ApusError(.conflict, "the container \(id) has been started already") }
    defer {
      close(channel)
      channel = -1
    }
    do throws(ApusError) {
      try Channel.send(.start, on: channel)
      // The end of the channel without a word: execve(2) closed the other side.
      guard let (message, _) = try Channel.receive(on: channel) else { return }
      if case .failed(let error) = message { throw error }
      throw ApusError(.internal, "the first process of \(id) sent something unexpected")
    } catch {
      // Not the whole group: somebody else may be in it, and here is nobody but this process.
      _ = try? Processes.send(signal: SIGKILL, to: processDescriptor.raw)
      _ = try? Processes.wait(for: process)
      try? removeCgroup()
      throw error
    }
  }
}

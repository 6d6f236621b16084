import Errors
import Glibc
import Linux
import Synchronization

/// A program of the host whose output is read: its own session, so that all of it can be ended at once.
final class ChildProcess: Sendable {
  let name: String
  private let process: pid_t
  /// nil once it was waited for: the number may be another's then.
  private let running = Mutex(true)
  let output: OwnedPipeEnd
  let errors: OwnedPipeEnd

  /// - Parameter arguments: the first is looked for in the system's directories.
  /// - Throws: `unavailable` when there is no such program.
  init(_ arguments: [String]) throws(ApusError) {
    name = arguments.first ?? ""
    guard let path = BootstrapMachine.program(name) else {
      throw ApusError(.unavailable, "\(name) is not installed")
    }
    var environment = ["PATH=\(BootstrapMachine.path)", "LC_ALL=C.UTF-8", "HOME=/root"]
    for variable in ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
      if let value = getenv(variable) { environment.append("\(variable)=\(String(cString: value))") }
    }
    let outputPipe = try Pipe()
    let errorPipe = try Pipe()
    let nothing = try Files.open("/dev/null", flags: O_RDONLY | O_CLOEXEC)
    process = try Spawn.process(
      path, arguments: arguments, environment: environment,
      descriptors: [
        (nothing.raw, 0), (outputPipe.writeEnd.raw, 1), (errorPipe.writeEnd.raw, 2),
      ], newSession: true, workingDirectory: "/")
    output = OwnedPipeEnd(try outputPipe.readEnd.duplicate())
    errors = OwnedPipeEnd(try errorPipe.readEnd.duplicate())
  }

  /// Waits for its end. Once. Blocks.
  func wait() throws(ApusError) -> ExitStatus {
    // The session's other processes may still run; a daemon that was asked to stop waits for none of them.
    let status = try Processes.wait(for: process)
    running.withLock { $0 = false }
    guard let status else { throw ApusError(.internal, "\(name) ended without a status") }
    return status
  }

  /// Waits for its end unless that was done. Blocks.
  func reap() {
    if running.withLock({ $0 }) { _ = try? wait() }
  }

  /// Asks everything in its session to end, and ends it if that does not help.
  func end() {
    signal(SIGTERM)
    Task.detached { [self] in
      try? await Task.sleep(for: .seconds(10))
      signal(SIGKILL)
    }
  }

  private func signal(_ number: Int32) {
    running.withLock { if $0 { _ = Glibc.kill(-process, number) } }
  }
}

/// A descriptor shared by the tasks that read it and the one that may have to close it.
final class OwnedPipeEnd: Sendable {
  private let descriptor: Mutex<Int32>

  init(_ owned: consuming OwnedDescriptor) { descriptor = Mutex(owned.release()) }

  deinit { close() }

  var raw: Int32 { descriptor.withLock { $0 } }

  func close() {
    descriptor.withLock { value in
      if value >= 0 { _ = Glibc.close(value) }
      value = -1
    }
  }

  /// Up to a buffer full; 0 at the end. Blocks.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(ApusError) -> Int {
    try check(retrying { Glibc.read(raw, buffer.baseAddress, buffer.count) }, "cannot read from a pipe")
  }

  /// Calls `body` with every line until the end. Blocks.
  func lines(limit: Int = 4096, _ body: (String) -> Void) {
    var line: [UInt8] = []
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)
    defer { buffer.deallocate() }
    while let count = try? read(into: buffer), count > 0 {
      for byte in buffer[..<count] {
        if byte == 0x0a || byte == 0x0d {
          if !line.isEmpty { body(String(decoding: line, as: UTF8.self)) }
          line.removeAll(keepingCapacity: true)
        } else if line.count < limit {
          line.append(byte)
        }
      }
    }
    if !line.isEmpty { body(String(decoding: line, as: UTF8.self)) }
  }
}

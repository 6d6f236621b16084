import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// Runs the hooks of a container (config.md, POSIX-platform Hooks) in the namespaces of the calling process.
public enum HookRunner {
  /// Of what a hook writes, as much as fits into a sentence.
  private static let outputLimit = 2048

  /// Runs hooks one after the other, each with the state on its standard input and its own environment.
  /// - Parameters:
  ///   - kind: the specification's name of the list, for the sentence.
  ///   - directory: where they start; the caller's own directory where nil.
  /// - Throws: with the first that cannot be run, fails, or exceeds its time, in which case it has been killed. The
  ///   remaining ones are not run.
  public static func run(
    _ hooks: [Hook], kind: String, state: ContainerState, directory: String? = nil
  ) throws(ApusError) {
    guard !hooks.isEmpty else { return }
    // A file, not a pipe: a hook that does not read its state must not be able to keep us waiting.
    let input = OwnedDescriptor(
      owning: try check(memfd_create("state", UInt32(MFD_CLOEXEC)), "cannot make a file in memory"))
    try Files.write(state.json(), to: input.raw, name: "the state for a hook")
    for hook in hooks {
      try check(Int(lseek(input.raw, 0, SEEK_SET)), "cannot rewind the state for a hook")
      try run(hook, kind: kind, input: input.raw, directory: directory)
    }
  }

  /// What can be wrong with a hook before it is run.
  static func validate(_ hooks: Hooks?) throws(ApusError) {
    guard let hooks else { return }
    let lists = [
      ("prestart", hooks.prestart), ("createRuntime", hooks.createRuntime), ("createContainer", hooks.createContainer),
      ("startContainer", hooks.startContainer), ("poststart", hooks.poststart), ("poststop", hooks.poststop),
    ]
    for (kind, list) in lists {
      for (index, hook) in list.enumerated() {
        guard hook.path.hasPrefix("/") else {
          throw ApusError(.invalidArgument, "hooks.\(kind)[\(index)].path: \"\(hook.path)\" is not an absolute path")
        }
        guard hook.timeout.map({ $0 > 0 }) ?? true else {
          throw ApusError(.invalidArgument, "hooks.\(kind)[\(index)].timeout: must be greater than zero")
        }
      }
    }
  }

  private static func run(_ hook: Hook, kind: String, input: Int32, directory: String?) throws(ApusError) {
    let name = "the \(kind) hook \(hook.path)"
    var output = try Pipe(flags: O_CLOEXEC | O_NONBLOCK)
    let process: pid_t
    do throws(ApusError) {
      process = try Spawn.process(
        hook.path, arguments: hook.args.isEmpty ? [hook.path] : hook.args,
        environment: environment(of: hook, kind: kind),
        descriptors: [(input, 0), (output.writeEnd.raw, 1), (output.writeEnd.raw, 2)], newSession: false,
        workingDirectory: directory)
    } catch {
      throw ApusError(error.code, "cannot run \(name): \(describe(errno: error.errno ?? 0))", cause: error.cause)
    }
    output.writeEnd = OwnedDescriptor(owning: -1)
    let limit = hook.timeout.map { Int64(clamping: $0).multipliedReportingOverflow(by: 1000) }
    let deadline = limit.map { $0.overflow ? Int64.max : now() &+ min($0.partialValue, .max / 2) }
    var text: [UInt8] = []
    let status: ExitStatus
    do throws(ApusError) {
      status = try wait(for: process, reading: output.readEnd.raw, into: &text, until: deadline)
    } catch {
      kill(process, SIGKILL)
      _ = try? Processes.wait(for: process)
      throw ApusError(error.code, "\(name) did not end within \(hook.timeout ?? 0) s", cause: error.cause)
    }
    guard status.code != 0 else { return }
    let said = String(decoding: text, as: UTF8.self).split(separator: "\n").joined(separator: "; ")
    throw ApusError(.internal, "\(name) failed with status \(status.code)\(said.isEmpty ? "" : ": \(said)")")
  }

  /// A hook that says nothing of its environment has this process's. Not one whose program is the container's: what the
  /// caller has there is none of its business.
  private static func environment(of hook: Hook, kind: String) throws(ApusError) -> [String] {
    if let environment = hook.env { return environment }
    guard kind != "startContainer" else { return [] }
    return try Files.read("/proc/self/environ", limit: 8 << 20).split(separator: 0).map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  /// Waits for the process itself, not for the end of its output, which a child it has left behind may hold.
  private static func wait(
    for process: pid_t, reading output: Int32, into text: inout [UInt8], until deadline: Int64?
  ) throws(ApusError) -> ExitStatus {
    var isOpen = true
    while true {
      // All output is at an end, and nothing limits the time: most hooks.
      if !isOpen, deadline == nil, let status = try Processes.wait(for: process) { return status }
      if let status = try Processes.wait(for: process, noHang: true) {
        _ = drain(output, into: &text)
        return status
      }
      if let deadline, now() >= deadline { throw ApusError(.deadlineExceeded, "too late") }
      guard isOpen else {
        usleep(500)
        continue
      }
      var event = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      if poll(&event, 1, 20) > 0 { isOpen = drain(output, into: &text) }
    }
  }

  /// Reads what is there and keeps the beginning. False at the end.
  private static func drain(_ output: Int32, into text: inout [UInt8]) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let got = retrying { read(output, &buffer, buffer.count) }
      if got <= 0 { return got < 0 }
      text += buffer.prefix(got).prefix(max(0, outputLimit - text.count))
    }
  }

  /// Milliseconds of a clock that nobody sets.
  private static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}

extension ContainerConfiguration {
  /// The state as hooks and seccomp agents get it (runtime.md, State).
  func state(_ status: String, process: pid_t) -> ContainerState {
    ContainerState(
      ociVersion: spec.ociVersion, id: id, status: status, pid: process, bundle: bundle, annotations: spec.annotations)
  }
}

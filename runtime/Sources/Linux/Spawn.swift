import CLinux
import Errors
import Glibc

/// Starting a program of the host (posix_spawn(3): cheap also from a process with a large memory).
public enum Spawn {
  /// Starts `executable` with exactly `arguments` (the first is its name) and `environment`.
  ///
  /// - Parameters:
  ///   - descriptors: which of our descriptors it gets under which number. Everything else of ours is expected to be
  ///     close-on-exec, so `executable` may be `/proc/self/fd/N` of a close-on-exec descriptor.
  ///   - newSession: setsid(2) in the child: it survives the end of our session and terminal.
  /// - Returns: the child's number. All its signals are at their defaults and none is blocked.
  public static func process(
    _ executable: String, arguments: [String], environment: [String] = [],
    descriptors: [(ours: Int32, theirs: Int32)] = [], newSession: Bool = true, workingDirectory: String? = nil
  ) throws(ApusError) -> pid_t {
    // A mapping may name a target that is the source of a later one: all sources first go above every target.
    let highest = descriptors.map(\.theirs).max() ?? 2
    var parked: [Int32] = []
    defer { for descriptor in parked { close(descriptor) } }
    for (ours, _) in descriptors {
      parked.append(
        try check(clinux_fcntl(ours, F_DUPFD_CLOEXEC, Int(highest) + 1), "cannot duplicate descriptor \(ours)"))
    }

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (source, target) in zip(parked, descriptors) {
      posix_spawn_file_actions_adddup2(&actions, source, target.theirs)
    }
    if let workingDirectory { posix_spawn_file_actions_addchdir_np(&actions, workingDirectory) }

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var all = sigset_t()
    var none = sigset_t()
    sigfillset(&all)
    sigemptyset(&none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setsigmask(&attributes, &none)
    // POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID
    posix_spawnattr_setflags(&attributes, 0x04 | 0x08 | (newSession ? 0x80 : 0))

    var child: pid_t = 0
    let result = withCStrings(arguments) { argv in
      withCStrings(environment) { envp in posix_spawn(&child, executable, &actions, &attributes, argv, envp) }
    }
    guard result == 0 else { throw ApusError(errno: result, "cannot start \(executable)") }
    return child
  }
}

/// Calls `body` with a NULL-terminated array of C strings, as execve(2) wants it.
public func withCStrings<Result>(
  _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
  let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: strings.count + 1)
  for (index, string) in strings.enumerated() { pointers[index] = strdup(string) }
  pointers[strings.count] = nil
  defer {
    for index in strings.indices { free(pointers[index]) }
    pointers.deallocate()
  }
  return body(pointers)
}

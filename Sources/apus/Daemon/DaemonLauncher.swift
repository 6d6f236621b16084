import Errors
import Glibc

/// What to do when nobody answers on the socket: start the daemon where that is ours to do, and say what to do where
/// it is not.
struct DaemonLauncher {
  let endpoint: Endpoint
  private static let patience: Double = 15

  /// A connected socket, from a daemon started here; or the sentence that says why there is none.
  func recover(from number: Int32) throws -> Socket {
    switch number {
    case EACCES, EPERM:
      throw ApusError(
        .permissionDenied,
        "No permission to open the daemon's socket \(endpoint.path); run the command with sudo, or join the group "
          + "that owns the socket and log in again.")
    case ENOENT, ECONNREFUSED, ENOTDIR:
      guard endpoint.isDefault else {
        throw ApusError(
          .unavailable,
          "No daemon listens on \(endpoint.path); start one with 'apusd --socket \(endpoint.path)', or leave out "
            + "--host and APUS_HOST to use the default one.")
      }
    default:
      throw ApusError(
        .unavailable, "Cannot connect to the daemon on \(endpoint.path): \(String(cString: strerror(number))).")
    }
    guard geteuid() == 0 else {
      throw ApusError(
        .unavailable,
        "No daemon runs, and starting one needs root; run the command with sudo, or start it with 'sudo systemctl "
          + "start apus'.")
    }
    guard let executable = Self.daemonExecutable() else {
      throw ApusError(
        .unavailable,
        "No daemon runs on \(endpoint.path), and there is no apusd beside this program to start; install it, or start "
          + "one by hand.")
    }
    return try start(executable)
  }

  /// `apusd` in the directory of this program.
  static func daemonExecutable() -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { target in
      target.withMemoryRebound(to: CChar.self) { text in
        text.baseAddress.map { readlink("/proc/self/exe", $0, text.count) } ?? -1
      }
    }
    guard count > 0, count < buffer.count else { return nil }
    let own = String(decoding: buffer[..<count], as: UTF8.self)
    guard let slash = own.lastIndex(of: "/") else { return nil }
    let path = own[..<slash] + "/apusd"
    return access(String(path), X_OK) == 0 ? String(path) : nil
  }

  private var runDirectory: String {
    String(endpoint.path[..<(endpoint.path.lastIndex(of: "/") ?? endpoint.path.endIndex)])
  }

  private func start(_ executable: String) throws -> Socket {
    let log = runDirectory + "/apusd.log"
    mkdir(runDirectory, 0o755)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // A session of its own: closing the terminal, or Ctrl-C in it, is not meant for the daemon.
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSID))
    var child: pid_t = 0
    let words = [executable, "--socket", endpoint.path, "--run-dir", runDirectory]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    let result = posix_spawn(&child, executable, &actions, &attributes, arguments, environ)
    guard result == 0 else {
      throw ApusError(.unavailable, "Cannot start \(executable): \(String(cString: strerror(result))).")
    }
    return try wait(for: child, log: log)
  }

  /// Waits until the socket answers. The kernel has no event for "someone listens now", so it is tried every
  /// two milliseconds; a daemon takes some tens.
  private func wait(for child: pid_t, log: String) throws -> Socket {
    let start = Clock.seconds()
    var exitedAt: Double?
    while true {
      if let socket = try? Socket(path: endpoint.path) { return socket }
      let now = Clock.seconds()
      var status: Int32 = 0
      if exitedAt == nil, waitpid(child, &status, WNOHANG) == child { exitedAt = now }
      // Two commands may have started two daemons at once: the second daemon leaves, the first one answers.
      if let exitedAt, now - exitedAt > 1 {
        throw ApusError(.unavailable, "The daemon could not start: \(Self.lastLine(of: log)) (its log is \(log)).")
      }
      if now - start > Self.patience {
        throw ApusError(
          .unavailable, "The daemon was started but does not answer on \(endpoint.path); its log is \(log).")
      }
      var pause = timespec(tv_sec: 0, tv_nsec: 2_000_000)
      nanosleep(&pause, nil)
    }
  }

  private static func lastLine(of path: String) -> String {
    guard let bytes = try? LocalFile.read(path, limit: 1 << 20) else { return "it left no log" }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    return lines.last.map(String.init) ?? "it left no log"
  }
}

/// Clocks.
enum Clock {
  /// Seconds on a clock that only goes forward.
  static func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Seconds since 1970.
  static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec)
  }
}

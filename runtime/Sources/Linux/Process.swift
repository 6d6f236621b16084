import CLinux
import Errors
import Glibc

/// Processes by number and by pidfd.
public enum Processes {
  /// When the process started, in clock ticks since boot (/proc/PID/stat field 22): with the number it names a process
  /// for good, although numbers are used again. Throws notFound when it is gone.
  public static func startTime(of process: pid_t) throws(ApusError) -> UInt64 {
    let text = try statistics(of: process)
    // Field 3 is the first of the fields after the name.
    guard text.count > 19, let ticks = UInt64(text[19]) else {
      throw ApusError(.internal, "/proc/\(process)/stat is not as expected")
    }
    return ticks
  }

  /// Whether this number still belongs to the process that started at `startTime` and is not a zombie.
  public static func isRunning(_ process: pid_t, startTime: UInt64) -> Bool {
    guard let fields = try? statistics(of: process), fields.count > 19 else { return false }
    return fields[19] == String(startTime) && fields[0] != "Z" && fields[0] != "X"
  }

  /// The fields of /proc/PID/stat after the command's name (which may contain anything), state first.
  private static func statistics(of process: pid_t) throws(ApusError) -> [Substring] {
    let text = String(decoding: try Files.read("/proc/\(process)/stat", limit: 8192), as: UTF8.self)
    guard let end = text.lastIndex(of: ")") else {
      throw ApusError(.internal, "/proc/\(process)/stat is not as expected")
    }
    return text[text.index(after: end)...].split(separator: " ")
  }

  /// A descriptor that becomes readable when the process ends (pidfd_open(2)).
  public static func open(_ process: pid_t) throws(ApusError) -> OwnedDescriptor {
    OwnedDescriptor(owning: try check(clinux_pidfd_open(process, 0), "cannot open process \(process)"))
  }

  /// Sends a signal through a pidfd. False when the process is gone already.
  @discardableResult
  public static func send(signal: Int32, to descriptor: Int32) throws(ApusError) -> Bool {
    if clinux_pidfd_send_signal(descriptor, signal, 0) >= 0 { return true }
    if errno == ESRCH { return false }
    throw ApusError(errno: errno, "cannot send signal \(signal)")
  }

  /// Sends a signal by number. False when the process is gone already.
  @discardableResult
  public static func send(signal: Int32, toProcess process: pid_t) throws(ApusError) -> Bool {
    if kill(process, signal) >= 0 { return true }
    if errno == ESRCH { return false }
    throw ApusError(errno: errno, "cannot send signal \(signal) to process \(process)")
  }

  /// Waits for one child. Nil with `noHang` while it runs.
  public static func wait(for process: pid_t, noHang: Bool = false) throws(ApusError) -> ExitStatus? {
    var status: Int32 = 0
    let found = try check(clinux_wait_process(process, noHang, &status), "cannot wait for process \(process)")
    return found == 1 ? ExitStatus(waitStatus: status) : nil
  }

  /// Any ended child (waitpid -1, WNOHANG); nil when none has ended or there are none.
  public static func reap() -> (process: pid_t, status: ExitStatus)? {
    var status: Int32 = 0
    let process = waitpid(-1, &status, WNOHANG)
    return process > 0 ? (process, ExitStatus(waitStatus: status)) : nil
  }
}

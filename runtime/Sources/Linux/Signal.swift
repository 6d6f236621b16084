import Glibc

/// Signals by name and number. Numbers are those of x86 and ARM, the same for all processors Apus supports.
public enum Signal {
  private static let names: [(name: StaticString, number: Int32)] = [
    ("HUP", 1), ("INT", 2), ("QUIT", 3), ("ILL", 4), ("TRAP", 5), ("ABRT", 6), ("BUS", 7), ("FPE", 8), ("KILL", 9),
    ("USR1", 10), ("SEGV", 11), ("USR2", 12), ("PIPE", 13), ("ALRM", 14), ("TERM", 15), ("STKFLT", 16), ("CHLD", 17),
    ("CONT", 18), ("STOP", 19), ("TSTP", 20), ("TTIN", 21), ("TTOU", 22), ("URG", 23), ("XCPU", 24), ("XFSZ", 25),
    ("VTALRM", 26), ("PROF", 27), ("WINCH", 28), ("IO", 29), ("PWR", 30), ("SYS", 31), ("IOT", 6), ("CLD", 17),
    ("POLL", 29), ("UNUSED", 31),
  ]
  private static let firstRealTime: Int32 = 34
  private static let lastRealTime: Int32 = 64

  /// The number of `SIGTERM`, `term`, `15`, `RTMIN+3`, `SIGRTMAX-1`; nil when there is no such signal.
  public static func number(named text: String) -> Int32? {
    if let number = Int32(text) { return (1...lastRealTime).contains(number) ? number : nil }
    var name = text.uppercased()
    if name.hasPrefix("SIG") { name.removeFirst(3) }
    if let known = names.first(where: { $0.name.description == name }) { return known.number }
    var number: Int32?
    if name == "RTMIN" {
      number = firstRealTime
    } else if name == "RTMAX" {
      number = lastRealTime
    } else if name.hasPrefix("RTMIN+"), let offset = Int32(name.dropFirst(6)), (0...30).contains(offset) {
      number = firstRealTime + offset
    } else if name.hasPrefix("RTMAX-"), let offset = Int32(name.dropFirst(6)), (0...30).contains(offset) {
      number = lastRealTime - offset
    }
    return number
  }

  /// `SIGTERM` for 15; `SIGRTMIN+n` for real-time signals; nil when there is no such signal.
  public static func name(of number: Int32) -> String? {
    if let known = names.first(where: { $0.number == number }) { return "SIG\(known.name)" }
    guard (firstRealTime...lastRealTime).contains(number) else { return nil }
    return number == firstRealTime ? "SIGRTMIN" : "SIGRTMIN+\(number - firstRealTime)"
  }
}

/// How a process ended, from the status of waitpid(2).
public struct ExitStatus: Sendable, Equatable {
  /// What a shell shows: the exit code, or 128 + the signal.
  public let code: Int32
  /// The signal that ended it.
  public let signal: Int32?

  public init(waitStatus: Int32) {
    let signal = waitStatus & 0x7f
    self.signal = signal == 0 ? nil : signal
    self.code = signal == 0 ? (waitStatus >> 8) & 0xff : 128 + signal
  }
}

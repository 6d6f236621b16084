import Errors
import Glibc
import Linux
import RuntimeSpec

/// The log of a command, in the formats of runc that callers read their errors from.
struct Log: Sendable {
  enum Level: String, Sendable { case debug, warning, error }

  private let descriptor: Int32
  private let isJSON: Bool
  private let showsDebug: Bool
  /// Whether it goes to standard error anyway.
  let isStandardError: Bool

  /// - Parameter path: nil is standard error.
  init(path: String?, format: String, debug: Bool) throws(ApusError) {
    switch format {
    case "text": isJSON = false
    case "json": isJSON = true
    default: throw ApusError(.invalidArgument, "invalid log-format: \(format)")
    }
    showsDebug = debug
    isStandardError = path == nil || path == "/dev/stderr"
    guard let path, !isStandardError else {
      descriptor = 2
      return
    }
    // Append, because several commands of one container write to the same file.
    descriptor = try Files.open(path, flags: O_CREAT | O_WRONLY | O_APPEND | O_NOCTTY, mode: 0o644).release()
  }

  /// To standard error, for what goes wrong before there is a log.
  static var standardError: Log { Log() }

  private init() { (descriptor, isJSON, showsDebug, isStandardError) = (2, false, false, true) }

  func write(_ level: Level, _ message: String) {
    guard level != .debug || showsDebug else { return }
    try? Files.write(
      Array(Self.line(level, message, time: Timestamp.now(fraction: false), json: isJSON).utf8), to: descriptor)
  }

  static func line(_ level: Level, _ message: String, time: String, json: Bool) -> String {
    guard json else { return "time=\"\(time)\" level=\(level.rawValue) msg=\(quoted(message))\n" }
    var writer = JSONWriter()
    writer.beginObject()
    writer.put("level", level.rawValue)
    writer.put("msg", message)
    writer.put("time", time)
    writer.endObject()
    return String(decoding: writer.bytes, as: UTF8.self) + "\n"
  }

  private static func quoted(_ text: String) -> String {
    var writer = JSONWriter()
    writer.string(text)
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

/// Times as RFC 3339 has them, in UTC.
enum Timestamp {
  /// - Parameter fraction: nanoseconds, without zeros at their end.
  static func now(fraction: Bool = true) -> String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return text(seconds: time.tv_sec, nanoseconds: fraction ? time.tv_nsec : 0)
  }

  static func text(seconds: Int, nanoseconds: Int) -> String {
    var seconds = time_t(seconds)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func padded(_ number: Int, _ width: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
    func two(_ number: Int32) -> String { padded(Int(number), 2) }
    var text = "\(padded(Int(parts.tm_year) + 1900, 4))-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    text += "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    if nanoseconds > 0 {
      var fraction = padded(nanoseconds, 9)
      while fraction.last == "0" { fraction.removeLast() }
      text += "." + fraction
    }
    return text + "Z"
  }
}

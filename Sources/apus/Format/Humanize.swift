import Glibc

/// Figures as people read them, in Docker's spelling, because scripts compare it.
enum Humanize {
  /// Decimal units, three significant digits: `117MB`.
  static func size(_ bytes: Int64) -> String {
    scaled(Double(bytes), 1000, ["B", "kB", "MB", "GB", "TB", "PB"], digits: 3)
  }

  /// Binary units, four significant digits: `1.945MiB`.
  static func binarySize(_ bytes: Int64) -> String {
    scaled(Double(bytes), 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"], digits: 4)
  }

  private static func scaled(_ value: Double, _ base: Double, _ units: [String], digits: Int) -> String {
    var value = value
    var unit = 0
    while value >= base, unit < units.count - 1 {
      value /= base
      unit += 1
    }
    return significant(value, digits) + units[unit]
  }

  /// What C's `%.<digits>g` prints for a number from 0 to 9999: no zeros at the end.
  static func significant(_ value: Double, _ digits: Int) -> String {
    let whole = String(Int(value)).count
    var text = fixed(value, max(0, digits - whole))
    if text.contains(".") {
      while text.hasSuffix("0") { text.removeLast() }
      if text.hasSuffix(".") { text.removeLast() }
    }
    return text
  }

  /// A number with so many decimals.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    guard value.isFinite, abs(value) * scale < 9e15 else { return "0" }
    let scaled = Int64((abs(value) * scale).rounded())
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard decimals > 0 else { return sign + String(scaled) }
    var text = String(scaled)
    while text.count <= decimals { text = "0" + text }
    let point = text.index(text.endIndex, offsetBy: -decimals)
    return sign + text[..<point] + "." + text[point...]
  }

  /// How long ago, in words: `About a minute`, `3 hours`.
  static func duration(_ seconds: Int64) -> String {
    let minutes = seconds / 60, hours = Int64((Double(seconds) / 3600).rounded())
    switch seconds {
    case ..<1: return "Less than a second"
    case 1: return "1 second"
    case ..<60: return "\(seconds) seconds"
    case _ where minutes == 1: return "About a minute"
    case _ where minutes < 60: return "\(minutes) minutes"
    case _ where hours == 1: return "About an hour"
    case _ where hours < 48: return "\(hours) hours"
    case _ where hours < 24 * 7 * 2: return "\(hours / 24) days"
    case _ where hours < 24 * 30 * 2: return "\(hours / 24 / 7) weeks"
    case _ where hours < 24 * 365 * 2: return "\(hours / 24 / 30) months"
    default: return "\(hours / 24 / 365) years"
    }
  }

  /// `3 hours ago`, from seconds since 1970.
  static func ago(_ time: Int64, now: Int64 = Clock.now()) -> String { duration(max(0, now - time)) + " ago" }

  /// `sha256:…` or a long id as twelve characters.
  static func shortID(_ id: String) -> String {
    let hex = id.hasPrefix("sha256:") ? id.dropFirst(7) : id[...]
    return String(hex.prefix(12))
  }

  /// Text cut to a width, with an ellipsis.
  static func ellipsis(_ text: String, _ width: Int) -> String {
    text.count <= width ? text : text.prefix(max(0, width - 1)) + "…"
  }
}

/// Times of the API: RFC 3339 text and seconds since 1970.
enum Timestamp {
  /// Seconds and nanoseconds since 1970 of `2026-11-21T07:00:00.123456789Z`.
  static func parse(_ text: String) -> (seconds: Int64, nanoseconds: Int64)? {
    let bytes = Array(text.utf8)
    func number(_ start: Int, _ length: Int) -> Int? {
      guard start + length <= bytes.count else { return nil }
      return Int(String(decoding: bytes[start..<start + length], as: UTF8.self))
    }
    guard let year = number(0, 4), let month = number(5, 2), let day = number(8, 2) else { return nil }
    guard (1...12).contains(month), (1...31).contains(day) else { return nil }
    var seconds = Int64(days(year, month, day)) * 86_400
    guard bytes.count > 10 else { return (seconds, 0) }
    guard let hour = number(11, 2), let minute = number(14, 2) else { return nil }
    seconds += Int64(hour * 3600 + minute * 60)
    var position = 16
    if position < bytes.count, bytes[position] == UInt8(ascii: ":") {
      guard let second = number(17, 2) else { return nil }
      seconds += Int64(second)
      position = 19
    }
    var nanoseconds: Int64 = 0
    if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
      position += 1
      var scale: Int64 = 100_000_000
      while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
        nanoseconds += Int64(bytes[position] - UInt8(ascii: "0")) * scale
        scale /= 10
        position += 1
      }
    }
    if position < bytes.count, bytes[position] != UInt8(ascii: "Z") {
      guard let hours = number(position + 1, 2), let minutes = number(position + 4, 2) else { return nil }
      let offset = Int64(hours * 3600 + minutes * 60)
      seconds += bytes[position] == UInt8(ascii: "-") ? offset : -offset
    }
    return (seconds, nanoseconds)
  }

  /// Days since 1970 of a date of the Gregorian calendar.
  private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    // Years counted from March put the leap day at the end, where it shifts nothing.
    let year = month <= 2 ? year - 1 : year
    let era = (year >= 0 ? year : year - 399) / 400
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// `2026-11-21 07:00:00 +0000 UTC` in the machine's time zone, as Docker prints it.
  static func local(_ seconds: Int64) -> String {
    var time = time_t(seconds)
    var parts = tm()
    localtime_r(&time, &parts)
    var buffer = [CChar](repeating: 0, count: 64)
    let count = strftime(&buffer, buffer.count, "%Y-%m-%d %H:%M:%S %z %Z", &parts)
    return String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// A moment as `2026-11-21T07:00:00.123456789+01:00`, in the machine's time zone.
  static func rfc3339(_ seconds: Int64, _ nanoseconds: Int64) -> String {
    var time = time_t(seconds)
    var parts = tm()
    localtime_r(&time, &parts)
    var buffer = [CChar](repeating: 0, count: 64)
    let count = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
    let base = String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    let digits = String(nanoseconds)
    let offset = parts.tm_gmtoff / 60
    let zone =
      offset == 0
      ? "Z" : (offset < 0 ? "-" : "+") + two(abs(offset) / 60) + ":" + two(abs(offset) % 60)
    return base + "." + String(repeating: "0", count: max(0, 9 - digits.count)) + digits + zone
  }

  private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  /// What `--since` and `--until` may say — a time, seconds since 1970, or how long ago — as the API wants it.
  static func parameter(_ text: String) throws -> String {
    if Double(text) != nil { return text }
    if let nanoseconds = Quantity.duration(text) {
      var now = timespec()
      clock_gettime(CLOCK_REALTIME, &now)
      let moment = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec) - nanoseconds
      return fraction(moment / 1_000_000_000, moment % 1_000_000_000)
    }
    if let (seconds, nanoseconds) = parse(text) { return fraction(seconds, nanoseconds) }
    throw ExitStatus(
      status: 125, message: "'\(text)' is not a time; write 2026-01-31T12:00:00Z, seconds since 1970, or 10m.")
  }

  private static func fraction(_ seconds: Int64, _ nanoseconds: Int64) -> String {
    let digits = String(nanoseconds)
    return "\(seconds)." + String(repeating: "0", count: max(0, 9 - digits.count)) + digits
  }
}

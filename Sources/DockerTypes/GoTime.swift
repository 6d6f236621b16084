import FoundationEssentials

/// Points in time as the API writes them: RFC 3339 with up to nine fractional digits, trailing zeros dropped.
public enum GoTime {
  /// What stands for "never".
  public static let zero = "0001-01-01T00:00:00Z"

  /// In UTC; nil is ``zero``. With `padded`, always nine digits (as in log lines).
  public static func string(_ date: Date?, padded: Bool = false) -> String {
    guard let date else { return zero }
    let (seconds, nanoseconds) = split(date)
    return string(seconds: seconds, nanoseconds: nanoseconds, padded: padded)
  }

  /// Whole seconds since 1970, rounded down, and the nanoseconds after them.
  public static func split(_ date: Date) -> (seconds: Int, nanoseconds: Int) {
    // Split at the reference date first: the smaller number keeps more of the fraction.
    let interval = date.timeIntervalSinceReferenceDate
    let whole = interval.rounded(.down)
    // A Date of this century resolves some 0.1 µs: what lies below would be noise.
    let nanoseconds = min(999_999_900, max(0, Int(((interval - whole) * 10_000_000).rounded()) * 100))
    let bounded = min(max(whole, -1e12), 1e12)
    return (Int(bounded) + 978_307_200, nanoseconds)
  }

  static func string(seconds: Int, nanoseconds: Int, padded: Bool) -> String {
    var days = seconds / 86_400
    var rest = seconds % 86_400
    if rest < 0 {
      rest += 86_400
      days -= 1
    }
    let (year, month, day) = civil(fromDays: days)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    append(year, digits: 4, to: &bytes)
    bytes.append(UInt8(ascii: "-"))
    append(month, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: "-"))
    append(day, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: "T"))
    append(rest / 3_600, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    append(rest / 60 % 60, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    append(rest % 60, digits: 2, to: &bytes)
    if padded || nanoseconds != 0 {
      bytes.append(UInt8(ascii: "."))
      append(nanoseconds, digits: 9, to: &bytes)
      if !padded { while bytes.last == UInt8(ascii: "0") { bytes.removeLast() } }
    }
    bytes.append(UInt8(ascii: "Z"))
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Reads RFC 3339 (`2026-01-02T03:04:05.6Z`, with any offset); nil when it is something else, or ``zero``.
  public static func date(_ text: String) -> Date? {
    guard let (seconds, nanoseconds) = parse(text), seconds > -62_135_596_800 else { return nil }
    return date(seconds: seconds, nanoseconds: nanoseconds)
  }

  static func date(seconds: Int, nanoseconds: Int) -> Date {
    Date(timeIntervalSinceReferenceDate: Double(seconds - 978_307_200) + Double(nanoseconds) / 1e9)
  }

  /// The same as whole seconds since 1970 and nanoseconds.
  static func parse(_ text: String) -> (Int, Int)? {
    var reader = DigitReader(bytes: Array(text.utf8))
    guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"),
      let day = reader.number(2), reader.take("T") || reader.take("t") || reader.take(" "),
      let hour = reader.number(2), reader.take(":"), let minute = reader.number(2), reader.take(":"),
      let second = reader.number(2), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60,
      second <= 60
    else { return nil }
    var nanoseconds = 0
    if reader.take(".") {
      guard let fraction = reader.fraction() else { return nil }
      nanoseconds = fraction
    }
    var offset = 0
    if !(reader.take("Z") || reader.take("z")) {
      let negative = reader.take("-")
      guard negative || reader.take("+"), let hours = reader.number(2), reader.take(":"), let minutes = reader.number(2)
      else { return nil }
      offset = (hours * 60 + minutes) * (negative ? -60 : 60)
    }
    guard reader.atEnd else { return nil }
    let days = daysSince1970(year: year, month: month, day: day)
    return (days * 86_400 + hour * 3_600 + minute * 60 + second - offset, nanoseconds)
  }

  /// Reads a `since` or `until` of a query: seconds since 1970 (`1700000000`, `1700000000.123456789`), RFC 3339, a date,
  /// or a Go duration before `now` (`10m`).
  public static func query(_ text: String, now: Date = Date()) -> Date? {
    if let date = date(text) { return date }
    if let days = parse(text + "T00:00:00Z") { return date(seconds: days.0, nanoseconds: 0) }
    if let local = parse(text + "Z") { return date(seconds: local.0, nanoseconds: local.1) }
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    if let seconds = Int(parts[0]), abs(seconds) < 1_000_000_000_000 {
      guard parts.count == 2 else { return date(seconds: seconds, nanoseconds: 0) }
      var reader = DigitReader(bytes: Array(parts[1].utf8))
      guard let nanoseconds = reader.fraction(), reader.atEnd else { return nil }
      return date(seconds: seconds, nanoseconds: nanoseconds)
    }
    guard let ago = GoDuration.nanoseconds(text) else { return nil }
    return now.addingTimeInterval(-Double(ago) / 1e9)
  }

  private static func append(_ value: Int, digits: Int, to bytes: inout [UInt8]) {
    var divisor = 1
    for _ in 1..<digits { divisor *= 10 }
    while divisor > 0 {
      bytes.append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
      divisor /= 10
    }
  }

  // The Gregorian calendar by 400-year eras that begin on 1 March, so that the leap day is the last of its year.
  private static func daysSince1970(year: Int, month: Int, day: Int) -> Int {
    let shifted = month > 2 ? year : year - 1
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func civil(fromDays days: Int) -> (year: Int, month: Int, day: Int) {
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
  }
}

/// Reads fixed-width numbers.
struct DigitReader {
  let bytes: [UInt8]
  var position = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  var atEnd: Bool { position == bytes.count }

  mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard position < bytes.count, UInt32(bytes[position]) == character.value else { return false }
    position += 1
    return true
  }

  mutating func digit() -> Int? {
    guard position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) else { return nil }
    defer { position += 1 }
    return Int(bytes[position] - UInt8(ascii: "0"))
  }

  mutating func number(_ digits: Int) -> Int? {
    var value = 0
    for _ in 0..<digits {
      guard let next = digit() else { return nil }
      value = value * 10 + next
    }
    return value
  }

  /// The digits after a point as billionths; those past the ninth are dropped.
  mutating func fraction() -> Int? {
    var value = 0
    var count = 0
    while let next = digit() {
      if count < 9 { value = value * 10 + next }
      count += 1
    }
    guard count > 0 else { return nil }
    for _ in min(count, 9)..<9 { value *= 10 }
    return value
  }
}

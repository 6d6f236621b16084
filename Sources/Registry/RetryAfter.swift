/// A `Retry-After` header (RFC 9110, section 10.2.3): seconds, or a date.
enum RetryAfter {
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

  /// Seconds from now on, nil for what is neither.
  ///
  /// - Parameter now: seconds since 1970.
  static func seconds(_ text: String, now: Int64) -> Int64? {
    if let seconds = Int64(text) { return seconds >= 0 ? seconds : nil }
    return date(text).map { max(0, $0 - now) }
  }

  /// An IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`, as seconds since 1970. The obsolete forms are not read.
  static func date(_ text: String) -> Int64? {
    let parts = text.split(separator: " ")
    guard parts.count == 6, parts[5] == "GMT", let day = Int64(parts[1]), (1...31).contains(day),
      let month = months.firstIndex(of: String(parts[2])), let year = Int64(parts[3]), (1970...9999).contains(year)
    else { return nil }
    let clock = parts[4].split(separator: ":").compactMap { Int64($0) }
    guard clock.count == 3, (0...23).contains(clock[0]), (0...59).contains(clock[1]), (0...60).contains(clock[2]) else {
      return nil
    }
    // Days from civil: years begin in March, so that the leap day is a year's last.
    let shifted = month < 2 ? year - 1 : year
    let era = shifted / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * Int64((month + 10) % 12) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    return ((days * 24 + clock[0]) * 60 + clock[1]) * 60 + clock[2]
  }
}

/// Durations as Go writes them: `1h2m3.5s`, `250ms`, `-1.5h`.
public enum GoDuration {
  private static let units: [(name: String, nanoseconds: Double)] = [
    ("ns", 1), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3_600e9),
  ]

  /// Nanoseconds, or nil when it is not a duration. A number needs its unit; `0` alone does not.
  public static func nanoseconds(_ text: String) -> Int? {
    var rest = Substring(text)
    var negative = false
    if let sign = rest.first, sign == "-" || sign == "+" {
      negative = sign == "-"
      rest.removeFirst()
    }
    if rest == "0" { return 0 }
    guard !rest.isEmpty else { return nil }
    var total = 0.0
    while !rest.isEmpty {
      let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
      guard let value = Double(number), value >= 0 else { return nil }
      rest = rest.dropFirst(number.count)
      let name = rest.prefix { !($0.isASCII && ($0.isNumber || $0 == ".")) }
      guard let unit = units.first(where: { $0.name == name }) else { return nil }
      rest = rest.dropFirst(name.count)
      total += value * unit.nanoseconds
    }
    guard total < 9.2e18 else { return nil }
    return Int(negative ? -total : total)
  }

  /// The shortest usual form: `1m30s`, `500ms`, `0s`.
  public static func string(nanoseconds: Int) -> String {
    guard nanoseconds != 0 else { return "0s" }
    let sign = nanoseconds < 0 ? "-" : ""
    let value = nanoseconds.magnitude
    switch value {
    case ..<1_000: return sign + "\(value)ns"
    case ..<1_000_000: return sign + decimal(value, per: 1_000) + "µs"
    case ..<1_000_000_000: return sign + decimal(value, per: 1_000_000) + "ms"
    default:
      let seconds = decimal(value % 60_000_000_000, per: 1_000_000_000) + "s"
      let minutes = value / 60_000_000_000
      if minutes == 0 { return sign + seconds }
      return sign + (minutes < 60 ? "\(minutes)m" : "\(minutes / 60)h\(minutes % 60)m") + seconds
    }
  }

  private static func decimal(_ value: UInt, per unit: UInt) -> String {
    let whole = "\(value / unit)"
    guard value % unit != 0 else { return whole }
    var fraction = String("\(unit + value % unit)".dropFirst())
    while fraction.last == "0" { fraction.removeLast() }
    return whole + "." + fraction
  }
}

import Errors

/// Amounts as options spell them.
enum Quantity {
  /// Bytes: `512m`, `1.5g`, `64KiB`, `100`; units are powers of 1024, as Docker has it.
  static func bytes(_ text: String) -> Int64? {
    let number = text.prefix { $0.isNumber || $0 == "." }
    guard let value = Double(number), value.isFinite else { return nil }
    let factor: Double
    switch text.dropFirst(number.count).drop(while: { $0 == " " }).lowercased() {
    case "", "b": factor = 1
    case "k", "kb", "kib": factor = 1024
    case "m", "mb", "mib": factor = 1_048_576
    case "g", "gb", "gib": factor = 1_073_741_824
    case "t", "tb", "tib": factor = 1_099_511_627_776
    case "p", "pb", "pib": factor = 1_125_899_906_842_624
    default: return nil
    }
    let result = value * factor
    return result < 9.2e18 ? Int64(result) : nil
  }

  /// Nanoseconds: `1m30s`, `500ms`, `1.5h`, as Go spells durations. A number without a unit is none, but 0.
  static func duration(_ text: String) -> Int64? {
    if text == "0" { return 0 }
    var rest = text[...]
    var total = 0.0
    var sign = 1.0
    if rest.first == "-" {
      sign = -1
      rest.removeFirst()
    }
    guard !rest.isEmpty else { return nil }
    while !rest.isEmpty {
      let number = rest.prefix { $0.isNumber || $0 == "." }
      guard let value = Double(number) else { return nil }
      rest = rest.dropFirst(number.count)
      let unit = rest.prefix { !$0.isNumber && $0 != "." }
      rest = rest.dropFirst(unit.count)
      switch unit {
      case "ns": total += value
      case "us", "µs", "μs": total += value * 1e3
      case "ms": total += value * 1e6
      case "s": total += value * 1e9
      case "m": total += value * 60e9
      case "h": total += value * 3600e9
      default: return nil
      }
    }
    return total < 9.2e18 ? Int64(total * sign) : nil
  }

  /// CPUs in billionths: `1.5` is 1,500,000,000.
  static func nanoCPUs(_ text: String) -> Int64? {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count <= 2, let whole = Int64(parts[0].isEmpty ? "0" : parts[0]), whole >= 0, whole < 1 << 32 else {
      return nil
    }
    guard parts.count == 2 else { return whole * 1_000_000_000 }
    // Decimal digits, read as digits: 0.1 must not become 0.09999.
    guard parts[1].count <= 9, parts[1].allSatisfy(\.isNumber) else { return nil }
    let digits = parts[1] + String(repeating: "0", count: 9 - parts[1].count)
    return Int64(digits).map { whole * 1_000_000_000 + $0 }
  }
}

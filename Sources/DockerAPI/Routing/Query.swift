import DockerTypes
import Errors
import FoundationEssentials

/// A request's query parameters, as Go reads them: `+` is a space, the first of several values counts.
struct Query: Sendable {
  private let items: [(name: String, value: String)]

  init(_ text: String) {
    items = text.split(separator: "&").map { pair in
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (Self.decoded(parts[0]), parts.count > 1 ? Self.decoded(parts[1]) : "")
    }
  }

  subscript(_ name: String) -> String? { items.first { $0.name == name }?.value }

  func all(_ name: String) -> [String] { items.compactMap { $0.name == name ? $0.value : nil } }

  /// The value, nil when absent or empty.
  func text(_ name: String) -> String? {
    guard let value = self[name], !value.isEmpty else { return nil }
    return value
  }

  /// Anything but nothing, `0`, `no`, `false`, `none` is true.
  func flag(_ name: String, default fallback: Bool = false) -> Bool {
    guard let value = self[name] else { return fallback }
    return !["", "0", "no", "false", "none"].contains(value.lowercased().trimmingSpaces())
  }

  /// - Throws: `invalidArgument` when it is not a number.
  func number(_ name: String) throws(ApusError) -> Int? {
    guard let value = text(name) else { return nil }
    guard let number = Int(value) else {
      throw ApusError(.invalidArgument, "the query parameter \(name) must be a number, but is \"\(value)\"")
    }
    return number
  }

  /// A `since` or `until`; `0` is none.
  func date(_ name: String) throws(ApusError) -> Date? {
    guard let value = text(name), value != "0" else { return nil }
    guard let date = GoTime.query(value) else {
      throw ApusError(.invalidArgument, "the query parameter \(name) must be a point in time, but is \"\(value)\"")
    }
    return date
  }

  /// - Throws: `invalidArgument` when it is malformed, or has a key that is not in `accepted`.
  func filters(accepted: Set<String>) throws(ApusError) -> Filters {
    guard let value = text("filters") else { return Filters() }
    let filters: Filters
    do {
      filters = try Filters(json: value)
    } catch {
      throw ApusError(
        .invalidArgument, "invalid filter: the query parameter filters must be a JSON object of lists", cause: error)
    }
    if let unknown = filters.keys.first(where: { !accepted.contains($0) }) {
      throw ApusError(.invalidArgument, "invalid filter '\(unknown)'")
    }
    return filters
  }

  private static func decoded(_ text: Substring) -> String {
    guard text.utf8.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) else { return String(text) }
    return String(percentEncoded: text, plusIsSpace: true)
  }
}

extension String {
  /// Undoes percent encoding; what is no valid escape stays as it is.
  init(percentEncoded text: some StringProtocol, plusIsSpace: Bool = false) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var rest = text.utf8.makeIterator()
    var pending: [UInt8] = []
    func digit(_ byte: UInt8) -> UInt8? {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
      default: nil
      }
    }
    while let byte = pending.popLast() ?? rest.next() {
      if plusIsSpace, byte == UInt8(ascii: "+") {
        bytes.append(UInt8(ascii: " "))
      } else if byte == UInt8(ascii: "%"), let first = rest.next() {
        guard let high = digit(first), let second = rest.next() else {
          bytes.append(byte)
          pending.append(first)
          continue
        }
        if let low = digit(second) {
          bytes.append(high << 4 | low)
        } else {
          bytes.append(contentsOf: [byte, first])
          pending.append(second)
        }
      } else {
        bytes.append(byte)
      }
    }
    self.init(decoding: bytes, as: UTF8.self)
  }

  func trimmingSpaces() -> String {
    let start = drop { $0 == " " || $0 == "\t" || $0 == "\n" || $0 == "\r" }
    var result = start
    while let last = result.last, last == " " || last == "\t" || last == "\n" || last == "\r" { result.removeLast() }
    return String(result)
  }
}

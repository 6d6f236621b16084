import Errors
import FoundationEssentials

/// JSON of the image documents. The bytes a document arrived in are what its digest names: keep them, and encode only
/// documents that are made here.
public protocol ImageDocument: Codable, Sendable {
  /// For error sentences: "image manifest".
  static var documentName: String { get }
}

extension ImageDocument {
  /// - Throws: `invalidArgument`, naming the document and the field that is wrong.
  public init(json: some Sequence<UInt8>) throws(ApusError) {
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(json))
    } catch {
      throw ApusError(.invalidArgument, "invalid \(Self.documentName): \(Self.reason(error))", cause: error)
    }
  }

  /// Compact, keys sorted: the same document always gives the same bytes, hence the same digest.
  public func json() throws(ApusError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return Array(try encoder.encode(self))
    } catch {
      throw ApusError(.internal, "cannot encode an \(Self.documentName)", cause: error)
    }
  }

  private static func reason(_ error: any Error) -> String {
    func place(_ path: [any CodingKey]) -> String {
      path.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
    }
    switch error {
    case DecodingError.keyNotFound(let key, let context):
      return "'\(place(context.codingPath + [key]))' is missing"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
      return "'\(place(context.codingPath))' has the wrong type"
    case DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty:
      return "'\(place(context.codingPath))': \(context.debugDescription)"
    case let error as ApusError:
      return error.message
    default:
      return "not well-formed JSON"
    }
  }
}

/// RFC 3339 timestamps as image documents and Docker's API write them: up to nine digits of fraction, any offset.
public enum RFC3339 {
  /// nil when it is none.
  public static func date(_ text: String) -> Date? {
    let bytes = Array(text.utf8)
    func number(_ start: Int, _ count: Int) -> Int? {
      guard start + count <= bytes.count else { return nil }
      var value = 0
      for byte in bytes[start..<start + count] {
        guard (0x30...0x39).contains(byte) else { return nil }
        value = value * 10 + Int(byte - 0x30)
      }
      return value
    }
    guard bytes.count >= 20, bytes.count <= 40, bytes[4] == 0x2d, bytes[7] == 0x2d,
      bytes[10] | 0x20 == 0x74 || bytes[10] == 0x20, bytes[13] == 0x3a, bytes[16] == 0x3a,
      let year = number(0, 4), let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2),
      let minute = number(14, 2), let second = number(17, 2), (1...12).contains(month), (1...31).contains(day),
      hour < 24, minute < 60, second < 61
    else { return nil }
    var index = 19
    var fraction = 0.0
    if bytes[index] == 0x2e {
      index += 1
      var scale = 0.1
      let start = index
      while index < bytes.count, (0x30...0x39).contains(bytes[index]) {
        fraction += Double(bytes[index] - 0x30) * scale
        scale /= 10
        index += 1
      }
      guard index > start else { return nil }
    }
    guard index < bytes.count else { return nil }
    var offset = 0
    switch bytes[index] {
    case 0x5a, 0x7a:
      guard index + 1 == bytes.count else { return nil }
    case 0x2b, 0x2d:
      guard index + 6 == bytes.count, bytes[index + 3] == 0x3a, let hours = number(index + 1, 2),
        let minutes = number(index + 4, 2)
      else { return nil }
      offset = (hours * 60 + minutes) * 60 * (bytes[index] == 0x2d ? -1 : 1)
    default: return nil
    }
    // Days since 1970 in the proleptic Gregorian calendar; March starts the year so that the leap day ends it.
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset
    return Date(timeIntervalSince1970: Double(seconds) + fraction)
  }

  /// UTC, with nine digits of fraction when there is any (Go's RFC3339Nano keeps fewer zeros; both are valid).
  public static func text(_ date: Date) -> String {
    let interval = date.timeIntervalSince1970
    let whole = interval.rounded(.down)
    return text(seconds: Int64(whole), nanoseconds: Int(((interval - whole) * 1e6).rounded(.down)) * 1000)
  }

  public static func text(seconds: Int64, nanoseconds: Int) -> String {
    var days = seconds / 86_400
    var rest = seconds % 86_400
    if rest < 0 {
      rest += 86_400
      days -= 1
    }
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthIndex = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthIndex + 2) / 5 + 1
    let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func padded(_ value: Int64, _ width: Int) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    var result =
      "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(padded(rest / 3600, 2)):"
      + "\(padded(rest / 60 % 60, 2)):\(padded(rest % 60, 2))"
    if nanoseconds > 0 { result += "." + padded(Int64(nanoseconds), 9) }
    return result + "Z"
  }
}

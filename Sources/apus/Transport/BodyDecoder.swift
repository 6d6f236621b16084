import Errors

/// Decodes the body of an HTTP/1.1 response as it arrives (RFC 9112, sections 6 and 7).
struct BodyDecoder: Sendable {
  private enum State: Sendable {
    case length(Int)
    case untilClose
    case chunkSize(digits: Int, value: Int, extension: Bool)
    case chunkData(Int)
    case chunkEnd
    /// After the last chunk: lines until an empty one. `count` bytes in this line so far.
    case trailer(count: Int)
    case done
  }

  private var state: State

  static func length(_ count: Int) -> BodyDecoder { BodyDecoder(state: count == 0 ? .done : .length(count)) }
  static let chunked = BodyDecoder(state: .chunkSize(digits: 0, value: 0, extension: false))
  static let untilClose = BodyDecoder(state: .untilClose)

  var isDone: Bool {
    if case .done = state { return true }
    return false
  }

  /// Whether the end of the connection is a proper end of the body.
  var mayEndHere: Bool {
    switch state {
    case .done, .untilClose: true
    default: false
    }
  }

  /// Takes bytes of the connection, appends those of the body to `output`, and returns how many it took: fewer than
  /// given only when the body ended.
  mutating func decode(_ input: ArraySlice<UInt8>, into output: inout [UInt8]) throws(ApusError) -> Int {
    var rest = input
    while !rest.isEmpty {
      switch state {
      case .done: return input.count - rest.count
      case .untilClose:
        output += rest
        return input.count
      case .length(let remaining):
        let part = rest.prefix(remaining)
        output += part
        rest = rest.dropFirst(part.count)
        state = part.count == remaining ? .done : .length(remaining - part.count)
      case .chunkSize(let digits, let value, let inExtension):
        guard let byte = rest.popFirst() else { break }
        state = try Self.size(byte, digits, value, inExtension)
      case .chunkData(let remaining):
        let part = rest.prefix(remaining)
        output += part
        rest = rest.dropFirst(part.count)
        state = part.count == remaining ? .chunkEnd : .chunkData(remaining - part.count)
      case .chunkEnd:
        if rest.popFirst() == UInt8(ascii: "\n") { state = .chunkSize(digits: 0, value: 0, extension: false) }
      case .trailer(let count):
        switch rest.popFirst() {
        case UInt8(ascii: "\n"): state = count == 0 ? .done : .trailer(count: 0)
        case UInt8(ascii: "\r"): break
        default: state = .trailer(count: count + 1)
        }
      }
    }
    return input.count - rest.count
  }

  private static func size(_ byte: UInt8, _ digits: Int, _ value: Int, _ inExtension: Bool) throws(ApusError) -> State {
    if byte == UInt8(ascii: "\n") {
      guard digits > 0 else { throw malformed }
      return value == 0 ? .trailer(count: 0) : .chunkData(value)
    }
    if inExtension || byte == UInt8(ascii: "\r") {
      return .chunkSize(digits: digits, value: value, extension: inExtension)
    }
    if byte == UInt8(ascii: ";") { return .chunkSize(digits: digits, value: value, extension: true) }
    guard let digit = Character(UnicodeScalar(byte)).hexDigitValue, digits < 15 else { throw malformed }
    return .chunkSize(digits: digits + 1, value: value << 4 | digit, extension: false)
  }

  private static let malformed = ApusError(.unavailable, "The daemon's answer is not valid HTTP: bad chunk size.")
}

import Errors

/// A message of D-Bus: a call, its answer, or a signal (D-Bus specification, Message Protocol).
public struct DBusMessage: Sendable, Equatable {
  public enum Kind: UInt8, Sendable {
    case call = 1
    case answer = 2
    case error = 3
    case signal = 4
  }

  /// What is read at most; systemd's answers have a few hundred bytes.
  static let longest = 1 << 20
  /// Up to the length of the header's fields.
  static let fixedLength = 16

  public var kind: Kind
  public var serial: UInt32 = 0
  /// The serial of the call that is answered.
  public var answers: UInt32?
  public var destination = ""
  public var path = ""
  public var interface = ""
  public var member = ""
  /// Of an error, such as `org.freedesktop.systemd1.NoSuchUnit`.
  public var errorName = ""
  public var body: [DBusValue] = []

  public init(_ kind: Kind) { self.kind = kind }

  // The codes of the header's fields.
  private enum Field: UInt8 {
    case path = 1
    case interface = 2
    case member = 3
    case errorName = 4
    case answers = 5
    case destination = 6
    case signature = 8
  }

  private static var ownOrder: UInt8 { 1.littleEndian == 1 ? UInt8(ascii: "l") : UInt8(ascii: "B") }

  func encoded() -> [UInt8] {
    var content = DBusWriter()
    for value in body { content.write(value) }
    var fields: [DBusValue] = []
    func add(_ field: Field, _ value: DBusValue) {
      fields.append(.structure([.byte(field.rawValue), .variant(value)]))
    }
    if !path.isEmpty { add(.path, .objectPath(path)) }
    if !interface.isEmpty { add(.interface, .string(interface)) }
    if !member.isEmpty { add(.member, .string(member)) }
    if !errorName.isEmpty { add(.errorName, .string(errorName)) }
    if let answers { add(.answers, .uint32(answers)) }
    if !destination.isEmpty { add(.destination, .string(destination)) }
    if !body.isEmpty { add(.signature, .signature(body.map(\.signature).joined())) }
    var writer = DBusWriter()
    // No flags: an answer is wanted. The protocol's version is 1.
    for byte in [Self.ownOrder, kind.rawValue, 0, 1] { writer.write(.byte(byte)) }
    writer.write(.uint32(UInt32(content.bytes.count)))
    writer.write(.uint32(serial))
    writer.write(.array("(yv)", fields))
    writer.align(8)
    return writer.bytes + content.bytes
  }

  /// The length of the whole message, from its first 16 bytes.
  static func length(_ bytes: ArraySlice<UInt8>) throws(ApusError) -> Int {
    guard bytes.first == ownOrder else {
      throw ApusError(.unavailable, "a message of D-Bus is not valid: its byte order is not this machine's")
    }
    var reader = DBusReader(bytes)
    // The last is the length of the header's fields.
    let fixed = try reader.read("yyyyuuu")
    guard case .uint32(let body) = fixed[4], case .uint32(let fields) = fixed[6], Int(body) + Int(fields) <= longest
    else { throw ApusError(.unavailable, "a message of D-Bus is longer than the \(longest) bytes that are read") }
    return fixedLength + (Int(fields) + 7) / 8 * 8 + Int(body)
  }

  /// Nil for a kind that a later version of the protocol may bring.
  init?(_ bytes: [UInt8]) throws(ApusError) {
    var reader = DBusReader(bytes[...])
    let fixed = try reader.read("yyyyuu")
    guard case .byte(let number) = fixed[1], case .uint32(let serial) = fixed[5] else { return nil }
    guard let kind = Kind(rawValue: number) else { return nil }
    self.kind = kind
    self.serial = serial
    guard case .array(_, let fields) = try reader.read("a(yv)").first else { return nil }
    var signature = ""
    for case .structure(let field) in fields {
      guard field.count == 2, case .byte(let code) = field[0] else { continue }
      let value = field[1].content
      switch Field(rawValue: code) {
      case .path: path = value.text ?? ""
      case .interface: interface = value.text ?? ""
      case .member: member = value.text ?? ""
      case .errorName: errorName = value.text ?? ""
      case .answers: if case .uint32(let number) = value { answers = number }
      case .destination: destination = value.text ?? ""
      case .signature: signature = value.text ?? ""
      case nil: break
      }
    }
    let start = bytes.count - reader.rest
    var content = DBusReader(bytes[min((start + 7) / 8 * 8, bytes.count)...])
    body = try content.read(signature)
  }
}

import Errors
import RuntimeSpec

/// One unit between the daemon and a shim or guest agent: an eight-byte header (little-endian length, kind, zero, tag)
/// and a payload.
public struct Frame: Sendable, Equatable {
  public static let headerSize = 8
  /// A peer that announces more is not one of ours.
  public static let maximumPayload = 1 << 20

  public var kind: FrameKind
  /// Chosen by the one who asks; replies and streams repeat it.
  public var tag: UInt16
  public var payload: [UInt8]

  public init(_ kind: FrameKind, tag: UInt16 = 0, payload: [UInt8] = []) {
    self.kind = kind
    self.tag = tag
    self.payload = payload
  }

  /// A frame whose payload is a message.
  public init(_ kind: FrameKind, tag: UInt16 = 0, _ message: some JSONObject) {
    self.init(kind, tag: tag, payload: message.json())
  }

  /// The frame as bytes. The payload must not exceed ``maximumPayload``: check what comes from a user first.
  public func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Frame.headerSize + payload.count)
    Frame.appendHeader(kind, tag: tag, length: payload.count, to: &bytes)
    bytes.append(contentsOf: payload)
    return bytes
  }

  /// For those who already have the payload elsewhere and would rather not copy it into a frame.
  public static func appendHeader(_ kind: FrameKind, tag: UInt16, length: Int, to bytes: inout [UInt8]) {
    precondition(length <= maximumPayload, "a frame's payload is limited to 1 MiB")
    let length = UInt32(length)
    bytes.append(UInt8(truncatingIfNeeded: length))
    bytes.append(UInt8(truncatingIfNeeded: length >> 8))
    bytes.append(UInt8(truncatingIfNeeded: length >> 16))
    bytes.append(UInt8(truncatingIfNeeded: length >> 24))
    bytes.append(kind.rawValue)
    bytes.append(0)
    bytes.append(UInt8(truncatingIfNeeded: tag))
    bytes.append(UInt8(truncatingIfNeeded: tag >> 8))
  }

  /// The payload as a message; an error says what was wrong with which field.
  public func message<Message: JSONObject>(_: Message.Type = Message.self) throws(ApusError) -> Message {
    try Message(json: payload, subject: "The message")
  }
}

/// Cuts a stream of bytes into frames. Feed it what arrived, then take frames until there is none.
public struct FrameDecoder: Sendable {
  private var buffer: [UInt8] = []
  private var start = 0

  public init() {}

  /// Bytes received that are not yet a frame.
  public var pending: Int { buffer.count - start }

  public mutating func append(_ bytes: some Sequence<UInt8>) { buffer.append(contentsOf: bytes) }

  /// Appends what `fill` writes into `capacity` uninitialised bytes, so that a caller can read(2) in place.
  public mutating func append(
    capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int
  ) {
    let chunk = [UInt8](unsafeUninitializedCapacity: capacity) { space, count in
      count = fill(UnsafeMutableRawBufferPointer(space))
    }
    buffer.append(contentsOf: chunk)
  }

  /// The next complete frame. After an error the stream cannot be resynchronised: drop the connection.
  public mutating func next() throws(ApusError) -> Frame? {
    guard pending >= Frame.headerSize else { return nil }
    let header = buffer[start..<start + Frame.headerSize]
    func byte(_ index: Int) -> UInt32 { UInt32(header[header.startIndex + index]) }
    let length = Int(byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24)
    guard length <= Frame.maximumPayload, byte(5) == 0 else {
      throw ApusError(.invalidArgument, "The connection carries something that is not a frame of the sandbox protocol")
    }
    let payloadStart = start + Frame.headerSize
    guard buffer.count - payloadStart >= length else { return nil }
    let frame = Frame(
      FrameKind(rawValue: UInt8(byte(4))), tag: UInt16(byte(6) | byte(7) << 8),
      payload: Array(buffer[payloadStart..<payloadStart + length]))
    start = payloadStart + length
    release()
    return frame
  }

  /// Keeps consumed bytes from accumulating; an idle decoder holds no memory at all.
  private mutating func release() {
    if start == buffer.count {
      buffer = []
      start = 0
    } else if start > 64 * 1024 {
      buffer.removeSubrange(..<start)
      start = 0
    }
  }
}

/// One netlink message under construction: a header, a family's fixed part, attributes (netlink(7)).
///
/// Integers are in the host's byte order unless the caller turns them; everything is padded to four bytes.
public struct NetlinkMessage: Sendable {
  /// NLM_F_*; those above 0x80 mean something else for each kind of request.
  public struct Flags: OptionSet, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let request = Flags(rawValue: 0x01)
    public static let acknowledge = Flags(rawValue: 0x04)
    /// Everything, not one thing.
    public static let dump = Flags(rawValue: 0x300)
    public static let replace = Flags(rawValue: 0x100)
    /// Fail where it exists.
    public static let exclusive = Flags(rawValue: 0x200)
    public static let create = Flags(rawValue: 0x400)
    public static let append = Flags(rawValue: 0x800)
  }

  static let headerLength = 16
  /// NLA_F_NESTED.
  private static let nested: UInt16 = 0x8000

  public let type: UInt16
  public var flags: Flags
  /// What follows the header.
  public private(set) var payload: [UInt8] = []

  /// - Parameter flags: `request` is always added.
  public init(_ type: UInt16, _ flags: Flags = []) {
    self.type = type
    self.flags = flags.union(.request)
    payload.reserveCapacity(112)
  }

  // MARK: The fixed part

  /// In the host's byte order.
  public mutating func append(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value) { payload.append(contentsOf: $0) }
  }

  public mutating func append(bytes: some Collection<UInt8>) { payload.append(contentsOf: bytes) }

  // MARK: Attributes

  public mutating func attribute(_ type: UInt16, bytes: some Collection<UInt8>) {
    append(UInt16(truncatingIfNeeded: 4 + bytes.count))
    append(type)
    payload.append(contentsOf: bytes)
    pad()
  }

  public mutating func attribute(_ type: UInt16, _ value: some FixedWidthInteger) {
    append(UInt16(4 + value.bitWidth / 8))
    append(type)
    append(value)
    pad()
  }

  /// With the zero byte that ends it.
  public mutating func attribute(_ type: UInt16, text: String) {
    append(UInt16(truncatingIfNeeded: 5 + text.utf8.count))
    append(type)
    payload.append(contentsOf: text.utf8)
    payload.append(0)
    pad()
  }

  /// An attribute whose value is what `body` appends.
  public mutating func nest<Failure>(
    _ type: UInt16, _ body: (inout NetlinkMessage) throws(Failure) -> Void
  ) throws(Failure) {
    let start = payload.count
    append(UInt16(0))
    append(type | Self.nested)
    try body(&self)
    let length = UInt16(truncatingIfNeeded: payload.count - start)
    withUnsafeBytes(of: length) { payload.replaceSubrange(start..<start + 2, with: $0) }
  }

  private mutating func pad() {
    while payload.count % 4 != 0 { payload.append(0) }
  }

  // MARK: On the wire

  /// Its bytes appended to those of others, with its header.
  func encode(sequence: UInt32, flags more: Flags = [], into bytes: inout [UInt8]) {
    func put(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) } }
    put(UInt32(Self.headerLength + payload.count))
    put(type)
    put(flags.union(more).rawValue)
    put(sequence)
    // The kernel fills in the sender.
    put(UInt32(0))
    bytes.append(contentsOf: payload)
    while bytes.count % 4 != 0 { bytes.append(0) }
  }
}

/// A message with what a failure of it is called.
public struct NetlinkRequest: Sendable {
  public var message: NetlinkMessage
  /// "cannot …": the beginning of the sentence that an error becomes.
  public var stage: String
  /// Answers (errno(3)) that are as good as none: the thing is there already, or gone already.
  public var tolerated: [Int32]

  public init(_ message: NetlinkMessage, stage: String, tolerating tolerated: [Int32] = []) {
    self.message = message
    self.stage = stage
    self.tolerated = tolerated
  }
}

import Netlink

/// Messages to nf_tables(7) and to connection tracking: headers and attributes as <linux/netlink.h> and
/// <linux/netfilter/nfnetlink.h> have them, in the processor's byte order where the kernel wants that.
struct NetfilterMessages {
  enum Flag {
    static let request: UInt16 = 0x1
    static let acknowledge: UInt16 = 0x4
    static let create: UInt16 = 0x400
    static let dump: UInt16 = 0x300
  }

  private(set) var bytes: [UInt8] = []
  private var sequence: UInt32 = 0

  /// Appends one message.
  ///
  /// - Parameters:
  ///   - type: subsystem and message: `NFNL_SUBSYS_… << 8 | …`.
  ///   - family: NFPROTO_*.
  ///   - resource: `res_id`; a batch's subsystem.
  mutating func add(
    type: UInt16, flags: UInt16, family: UInt8, resource: UInt16 = 0,
    _ attributes: (inout NetfilterMessages) -> Void = { _ in }
  ) {
    let start = bytes.count
    sequence += 1
    append(UInt32(0))
    append(type)
    append(flags | Flag.request)
    append(sequence)
    append(UInt32(0))
    bytes += [family, 0, UInt8(resource >> 8), UInt8(resource & 0xff)]
    attributes(&self)
    patch(UInt32(bytes.count - start), at: start)
  }

  /// Appends an attribute, padded to 4 bytes.
  mutating func attribute(_ type: UInt16, _ value: [UInt8]) {
    append(UInt16(4 + value.count))
    append(type)
    bytes += value
    while bytes.count % 4 != 0 { bytes.append(0) }
  }

  mutating func attribute(_ type: UInt16, _ text: String) { attribute(type, Array(text.utf8) + [0]) }

  /// Appends an attribute that holds others. At most 64 KiB.
  mutating func nested(_ type: UInt16, _ attributes: (inout NetfilterMessages) -> Void) {
    let start = bytes.count
    append(UInt16(0))
    append(type | 0x8000)
    attributes(&self)
    let length = UInt16(bytes.count - start)
    withUnsafeBytes(of: length) { bytes.replaceSubrange(start..<start + 2, with: $0) }
  }

  private mutating func append(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
  }

  private mutating func patch(_ value: UInt32, at offset: Int) {
    withUnsafeBytes(of: value) { bytes.replaceSubrange(offset..<offset + 4, with: $0) }
  }
}

extension NetfilterMessages {
  /// Adding or deleting of elements.
  struct ElementChange: Equatable, Sendable {
    let isAddition: Bool
    let element: SetElement

    static func add(_ element: SetElement) -> Self { ElementChange(isAddition: true, element: element) }
    static func delete(_ element: SetElement) -> Self { ElementChange(isAddition: false, element: element) }
  }

  /// One transaction of these changes in this order (NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM): all of it or nothing.
  static func transaction(_ changes: [ElementChange], table: String) -> NetfilterMessages {
    let tables: UInt16 = 10
    let inet: UInt8 = 1
    var messages = NetfilterMessages()
    messages.add(type: 0x10, flags: 0, family: 0, resource: tables)
    var rest = changes[...]
    while let first = rest.first {
      // What goes to the same set goes in the same message, as far as an attribute's 16 bits of length suffice.
      let run = rest.prefix(400).prefix { $0.isAddition == first.isAddition && $0.element.set == first.element.set }
      rest = rest.dropFirst(run.count)
      messages.add(
        type: tables << 8 | (first.isAddition ? 12 : 14),
        flags: Flag.acknowledge | (first.isAddition ? Flag.create : 0), family: inet
      ) { message in
        message.attribute(1, table)
        message.attribute(2, first.element.set.rawValue)
        message.nested(3) { list in
          for change in run {
            list.nested(1) { element in
              element.nested(1) { $0.attribute(1, change.element.keyBytes) }
              if change.isAddition, change.element.set.isMap {
                element.nested(2) { $0.attribute(1, change.element.dataBytes) }
              }
            }
          }
        }
      }
    }
    messages.add(type: 0x11, flags: 0, family: 0, resource: tables)
    return messages
  }
}

import Glibc

/// The on-disk format of EROFS (linux, fs/erofs/erofs_fs.h), as far as an uncompressed image needs it. Little endian.
enum EROFSFormat {
  static let magic: UInt32 = 0xE0F5_E1E2
  static let blockBits: UInt8 = 12
  static let blockSize = 1 << 12
  static let superblockOffset = 1024
  static let superblockSize = 128
  static let inodeSize = 64
  /// A node number counts these.
  static let slotSize = 32
  static let directoryEntrySize = 12
  static let attributeHeaderSize = 12
  static let nullBlock = UInt32.max

  static let compatibleChecksum: UInt32 = 0x1
  static let compatibleTimes: UInt32 = 0x2
  static let incompatibleChunks: UInt32 = 0x4

  /// Where the bytes of a file are.
  enum DataLayout: UInt16, Sendable {
    /// One run of blocks.
    case plain = 0
    /// The part after the last whole block lies behind the inode.
    case inline = 2
    /// A table of chunks lies behind the inode.
    case chunks = 4
  }

  /// st_rdev as Linux stores it.
  static func device(major: UInt32, minor: UInt32) -> UInt32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12
  }

  /// The reverse.
  static func deviceNumbers(_ device: UInt32) -> (major: UInt32, minor: UInt32) {
    (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00)
  }

  /// Of directory entries.
  static func fileType(mode: UInt16) -> UInt8 {
    switch UInt32(mode) & UInt32(S_IFMT) {
    case UInt32(S_IFREG): 1
    case UInt32(S_IFDIR): 2
    case UInt32(S_IFCHR): 3
    case UInt32(S_IFBLK): 4
    case UInt32(S_IFIFO): 5
    case UInt32(S_IFSOCK): 6
    default: 7
    }
  }

  /// Name prefixes that are stored as one number.
  static let attributePrefixes: [(index: UInt8, prefix: [UInt8], exact: Bool)] = [
    (1, Array("user.".utf8), false), (2, Array("system.posix_acl_access".utf8), true),
    (3, Array("system.posix_acl_default".utf8), true), (4, Array("trusted.".utf8), false),
    (6, Array("security.".utf8), false),
  ]

  /// One extended attribute as it lies behind an inode; nil where EROFS has no place for its namespace.
  static func attribute(name: [UInt8], value: [UInt8]) -> [UInt8]? {
    guard
      let (index, prefix, exact) = attributePrefixes.first(where: {
        $0.exact ? name == $0.prefix : name.starts(with: $0.prefix)
      }),
      exact || name.count > prefix.count, name.count - prefix.count <= 255, value.count < 1 << 16
    else { return nil }
    var bytes: [UInt8] = [UInt8(name.count - prefix.count), index]
    bytes.append(UInt8(value.count & 0xff))
    bytes.append(UInt8(value.count >> 8))
    bytes += name.dropFirst(prefix.count)
    bytes += value
    while bytes.count % 4 != 0 { bytes.append(0) }
    return bytes
  }

  /// The attributes that ``attribute(name:value:)`` encoded, one after the other.
  static func attributes(_ encoded: ArraySlice<UInt8>) -> [(name: [UInt8], value: [UInt8])] {
    var result: [(name: [UInt8], value: [UInt8])] = []
    var rest = encoded
    while rest.count >= 4 {
      let start = rest.startIndex
      let nameEnd = start + 4 + Int(rest[start])
      let valueEnd = nameEnd + (Int(rest[start + 2]) | Int(rest[start + 3]) << 8)
      guard valueEnd <= rest.endIndex, let known = attributePrefixes.first(where: { $0.index == rest[start + 1] })
      else { break }
      result.append((known.prefix + rest[(start + 4)..<nameEnd], Array(rest[nameEnd..<valueEnd])))
      rest = rest.dropFirst((valueEnd - start + 3) & ~3)
    }
    return result
  }

  /// Tells overlayfs that nothing below shows through a directory.
  static let opaqueAttribute = attribute(name: Array("trusted.overlay.opaque".utf8), value: [UInt8(ascii: "y")]) ?? []

  struct Superblock {
    var rootNode: UInt16
    var inodes: UInt64
    var blocks: UInt32
    var metadataBlock: UInt32
    var uuid: [UInt8]
    var hasChunks: Bool

    /// The whole first block.
    func encoded() -> [UInt8] {
      var block = [UInt8](repeating: 0, count: blockSize)
      func put(_ value: some FixedWidthInteger, at offset: Int) {
        var rest = value
        for index in 0..<MemoryLayout.size(ofValue: value) {
          block[superblockOffset + offset + index] = UInt8(truncatingIfNeeded: rest)
          rest >>= 8
        }
      }
      put(magic, at: 0)
      put(compatibleChecksum | compatibleTimes, at: 8)
      put(blockBits, at: 12)
      put(rootNode, at: 14)
      put(inodes, at: 16)
      put(blocks, at: 36)
      put(metadataBlock, at: 40)
      for (index, byte) in uuid.prefix(16).enumerated() { block[superblockOffset + 48 + index] = byte }
      put(hasChunks ? incompatibleChunks : 0, at: 80)
      put(crc32c(block[superblockOffset...]), at: 4)
      return block
    }
  }

  /// CRC-32C as the kernel's crc32c(~0, …): without the final inversion.
  static func crc32c(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var crc = UInt32.max
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 0 ? crc >> 1 : crc >> 1 ^ 0x82F6_3B78 }
    }
    return crc
  }
}

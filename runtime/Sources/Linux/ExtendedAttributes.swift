import CLinux
import Errors
import Glibc

/// Extended attributes (xattr(7)). The descriptor may be O_PATH and may be a symbolic link itself: the calls go
/// through /proc/self/fd, because fgetxattr refuses O_PATH.
public enum ExtendedAttributes {
  /// The largest value the kernel's interface passes.
  public static let maximumSize = 65536

  /// Names of all attributes of an open file.
  public static func names(of descriptor: Int32) throws(ApusError) -> [String] {
    var list = [UInt8](repeating: 0, count: maximumSize)
    let length = list.withUnsafeMutableBytes { buffer in
      listxattr("/proc/self/fd/\(descriptor)", buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count)
    }
    if length < 0, errno == EOPNOTSUPP { return [] }
    try check(length, "cannot list extended attributes")
    return list.prefix(length).split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The value of one attribute; nil when the file does not have it.
  public static func get(_ name: String, of descriptor: Int32) throws(ApusError) -> [UInt8]? {
    try value(name) { getxattr("/proc/self/fd/\(descriptor)", name, $0, $1) }
  }

  /// The value of one attribute of a path of the host; a link itself, not its target.
  public static func get(_ name: String, ofPath path: String) throws(ApusError) -> [UInt8]? {
    try value(name) { lgetxattr(path, name, $0, $1) }
  }

  private static func value(
    _ name: String, _ call: (UnsafeMutableRawPointer?, Int) -> Int
  ) throws(ApusError) -> [UInt8]? {
    var size = call(nil, 0)
    if size >= 0 {
      var value = [UInt8](repeating: 0, count: size)
      size = value.withUnsafeMutableBytes { call($0.baseAddress, $0.count) }
      if size >= 0 { return Array(value.prefix(size)) }
    }
    if errno == ENODATA || errno == EOPNOTSUPP { return nil }
    try check(size, "cannot read the extended attribute \(name)")
    return nil
  }

  /// Sets one attribute of an open file.
  public static func set(_ name: String, to value: [UInt8], of descriptor: Int32) throws(ApusError) {
    let result = value.withUnsafeBytes {
      setxattr("/proc/self/fd/\(descriptor)", name, $0.baseAddress, $0.count, 0)
    }
    try check(result, "cannot set the extended attribute \(name)")
  }

  /// Removes one attribute of an open file.
  public static func remove(_ name: String, of descriptor: Int32) throws(ApusError) {
    try check(removexattr("/proc/self/fd/\(descriptor)", name), "cannot remove the extended attribute \(name)")
  }
}

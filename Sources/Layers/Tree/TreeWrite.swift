import Errors
import Glibc
import Linux

/// Making files in somebody else's tree: by directory descriptor and one name, never following a link.
enum TreeWrite {
  /// Gives a file what it is described by. The order matters: changing the owner clears set-id bits and capabilities.
  static func describe(
    _ name: EntryName, at directory: Int32, mode: UInt32, uid: UInt32, gid: UInt32,
    attributes: [(name: [UInt8], value: [UInt8])], isLink: Bool
  ) throws(ApusError) {
    try check(
      fchownat(directory, name.terminated, uid, gid, AT_SYMLINK_NOFOLLOW), "cannot change the owner of '\(name.text)'")
    if isLink, attributes.isEmpty { return }
    let file = try TreeStep.open(name, at: directory, flags: O_PATH)
    for (attribute, value) in attributes {
      try set(String(decoding: attribute, as: UTF8.self), value, of: file.raw)
    }
    // fchmodat follows links; the descriptor stands for the file itself.
    if !isLink { try check(chmod(file.path, mode & 0o7777), "cannot change the mode of '\(name.text)'") }
  }

  /// File systems and kernels that do not know an attribute's namespace lose it, as with every other tool.
  static func set(_ attribute: String, _ value: [UInt8], of descriptor: Int32) throws(ApusError) {
    // Written by a container, it would mean something to the overlay it is in; escaped, it is only kept.
    let isOverlay = attribute.hasPrefix("trusted.overlay.")
    let name = isOverlay ? "trusted.overlay." + attribute.dropFirst("trusted.".count) : attribute
    do {
      try ExtendedAttributes.set(name, to: value, of: descriptor)
    } catch  where error.errno == EOPNOTSUPP || error.errno == EPERM || error.errno == EINVAL {
      return
    }
  }

  static func setTimes(
    _ name: EntryName, at directory: Int32, access: timespec, modification: timespec
  ) throws(ApusError) {
    let times = [access, modification]
    try check(
      utimensat(directory, name.terminated, times, AT_SYMLINK_NOFOLLOW), "cannot set the times of '\(name.text)'")
  }

  /// Devices, FIFOs and sockets.
  static func makeNode(
    _ name: EntryName, at directory: Int32, type: UInt32, major: UInt32, minor: UInt32
  ) throws(ApusError) {
    let device =
      dev_t(major & 0xfff) << 8 | dev_t(minor & 0xff) | dev_t(minor & ~0xff) << 12 | dev_t(major & ~0xfff) << 32
    try check(mknodat(directory, name.terminated, type | 0o600, device), "cannot make '\(name.text)'")
  }
}

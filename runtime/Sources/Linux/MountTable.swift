import Errors
import Glibc

/// One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
public struct MountEntry: Sendable, Equatable {
  public let id: Int
  public let parent: Int
  public let major: UInt32
  public let minor: UInt32
  /// The directory of the file system that is this mount's root.
  public let root: String
  /// Where it is attached, as the reading process sees it.
  public let mountPoint: String
  /// Options of the mount, comma-separated.
  public let options: String
  /// `shared:N`, `master:N`, `propagate_from:N`, `unbindable`.
  public let tags: [String]
  public let type: String
  public let source: String
  /// Options of the file system, comma-separated.
  public let superOptions: String

  /// Nil when the line is not one of mountinfo.
  public init?(line: Substring) {
    let fields = line.split(separator: " ", omittingEmptySubsequences: true)
    guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count >= dash + 3,
      let id = Int(fields[0]), let parent = Int(fields[1])
    else { return nil }
    let device = fields[2].split(separator: ":")
    guard device.count == 2, let major = UInt32(device[0]), let minor = UInt32(device[1]) else { return nil }
    self.id = id
    self.parent = parent
    self.major = major
    self.minor = minor
    root = Self.unescape(fields[3])
    mountPoint = Self.unescape(fields[4])
    options = String(fields[5])
    tags = fields[6..<dash].map { String($0) }
    type = String(fields[dash + 1])
    // An empty source leaves an empty field.
    source = fields.count > dash + 3 ? Self.unescape(fields[dash + 2]) : ""
    superOptions = fields.last.map { String($0) } ?? ""
  }

  /// Space, tab, newline and backslash are written as a backslash and three octal digits.
  static func unescape(_ field: Substring) -> String {
    guard field.utf8.contains(UInt8(ascii: "\\")) else { return String(field) }
    let bytes = Array(field.utf8)
    var result: [UInt8] = []
    var index = 0
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\\"), index + 3 < bytes.count,
        let value = UInt8(String(decoding: bytes[(index + 1)...(index + 3)], as: UTF8.self), radix: 8)
      {
        result.append(value)
        index += 4
      } else {
        result.append(bytes[index])
        index += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}

extension Mounts {
  /// The mounts a process sees, parents before children.
  public static func list(of process: String = "self") throws(ApusError) -> [MountEntry] {
    let text = String(decoding: try Files.read("/proc/\(process)/mountinfo", limit: 64 << 20), as: UTF8.self)
    return parse(mountinfo: text)
  }

  /// The entries of a mountinfo text; lines that are none are skipped.
  public static func parse(mountinfo text: String) -> [MountEntry] {
    text.split(separator: "\n").compactMap { MountEntry(line: $0) }
  }
}

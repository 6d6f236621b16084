import Errors
import Glibc
import Linux
import Netlink

/// A program of the host that has a port.
struct PortHolder: Sendable, Hashable, CustomStringConvertible {
  let name: String
  let process: pid_t

  var description: String { "\(name) (pid \(process))" }

  /// Those who hold a port in a way that excludes this one, by /proc/net and the processes' open files: slow, for the
  /// sentence that somebody waits for. Empty when it cannot be told: held by the kernel, or bound without listening.
  static func find(proto: PortProtocol, address: IPAddress?, port: UInt16) -> [PortHolder] {
    var inodes: Set<String> = []
    for family in [IPAddress.Family.v4, .v6] {
      let name = "/proc/thread-self/net/\(proto.rawValue)" + (family == .v6 ? "6" : "")
      guard let bytes = try? Files.read(name, limit: 64 << 20) else { continue }
      for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n").dropFirst() {
        guard let socket = Socket(line: line, family: family), socket.port == port,
          socket.excludes(address)
        else { continue }
        inodes.insert(socket.inode)
      }
    }
    return inodes.isEmpty ? [] : processes(having: inodes)
  }

  /// One line of /proc/net/tcp and its kin.
  struct Socket: Equatable {
    let address: IPAddress
    let port: UInt16
    let inode: String

    init?(line: Substring, family: IPAddress.Family) {
      let fields = line.split(separator: " ", omittingEmptySubsequences: true)
      guard fields.count > 9, fields[9] != "0" else { return nil }
      let local = fields[1].split(separator: ":")
      guard local.count == 2, let port = UInt16(local[1], radix: 16), local[0].utf8.count == family.width / 4 else {
        return nil
      }
      // Words of 32 bits as the processor sees those in network order.
      var bytes: [UInt8] = []
      var rest = local[0]
      while !rest.isEmpty {
        guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
        withUnsafeBytes(of: word) { bytes.append(contentsOf: $0) }
        rest = rest.dropFirst(8)
      }
      guard let address = IPAddress(bytes: bytes) else { return nil }
      self.address = address
      self.port = port
      inode = String(fields[9])
    }

    /// Whether one who has this socket keeps others from `other`.
    func excludes(_ other: IPAddress?) -> Bool {
      // What is bound to :: may have IPv4 too.
      guard let other, !other.isUnspecified, !address.isUnspecified else { return true }
      return address == other
    }
  }

  private static func processes(having inodes: Set<String>) -> [PortHolder] {
    var holders: [PortHolder] = []
    for process in entries("/proc").compactMap({ pid_t($0) }).sorted() {
      for file in entries("/proc/\(process)/fd") {
        guard let target = try? Files.readLink("/proc/\(process)/fd/\(file)"), target.hasPrefix("socket:["),
          inodes.contains(String(target.dropFirst(8).dropLast()))
        else { continue }
        let name = (try? Files.read("/proc/\(process)/comm", limit: 64)) ?? Array("a process".utf8)
        holders.append(PortHolder(name: String(decoding: name.prefix { $0 != 0x0a }, as: UTF8.self), process: process))
        break
      }
    }
    return holders
  }

  private static func entries(_ path: String) -> [String] {
    guard let directory = try? Files.open(path, flags: O_RDONLY | O_DIRECTORY),
      let entries = try? Files.entries(of: directory.raw)
    else { return [] }
    return entries.map { $0.name }
  }
}

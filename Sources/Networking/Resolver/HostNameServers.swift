import Glibc
import Linux
import Netlink
import Synchronization

/// The name servers that the host uses, as resolv.conf(5) has them now.
public final class HostNameServers: Sendable {
  private struct Stamp: Equatable {
    var seconds = 0
    var nanoseconds = 0
    var inode: UInt64 = 0
    var size = 0
  }
  private struct Known {
    var servers: [IPAddress] = []
    var stamp: Stamp?
    var checked: Milliseconds?
  }

  private let path: String
  private let known = Mutex(Known())

  public init(path: String = "/etc/resolv.conf") { self.path = path }

  /// In their order. Looks whether the file has changed at most once a second.
  public var addresses: [IPAddress] {
    known.withLock { known in
      let now = MonotonicClock.now
      if let checked = known.checked, now - checked < 1000 { return known.servers }
      known.checked = now
      var status = stat()
      let stamp =
        stat(path, &status) == 0
        ? Stamp(
          seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec, inode: UInt64(status.st_ino),
          size: Int(status.st_size)) : Stamp()
      guard known.stamp != stamp else { return known.servers }
      known.stamp = stamp
      let text = (try? Files.read(path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
      known.servers = Self.parse(text)
      // What resolv.conf(5) says of a file without any.
      if known.servers.isEmpty { known.servers = [IPAddress(v4: 0x7f00_0001)] }
      return known.servers
    }
  }

  /// The servers of a resolv.conf(5), but those whose address has a zone (`fe80::1%eth0`).
  static func parse(_ text: String) -> [IPAddress] {
    text.split(whereSeparator: \.isNewline).compactMap { line in
      let words = line.split { $0 == " " || $0 == "\t" }
      return words.first == "nameserver" && words.count > 1 ? IPAddress(String(words[1])) : nil
    }
  }
}

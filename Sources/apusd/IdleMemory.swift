import DockerAPI
import Errors
import Glibc
import Linux

// malloc.h is not part of the C library's module. Integers only: both languages pass them alike.
@_silgen_name("malloc_trim") private func malloc_trim(_ padding: Int) -> Int32

/// Gives memory back when nobody asks for anything: freed heap, and code that only the start or a pull needed.
///
/// The kernel maps a program's code by the tens of megabytes around what runs. It would take it back under pressure; a
/// daemon that waits for days need not wait for that. What is needed again comes from the page cache.
enum IdleMemory {
  private static let interval = Duration.seconds(15)

  /// Until cancelled.
  static func release(for server: DockerServer) async throws {
    var seen: UInt64?
    var released = false
    while true {
      try await Task.sleep(for: interval)
      let requests = server.requestCount
      if requests != seen {
        seen = requests
        released = false
      } else if !released {
        trim()
        released = true
      }
    }
  }

  static func trim() {
    _ = malloc_trim(0)
    guard let bytes = try? Files.read("/proc/self/maps", limit: 1 << 20) else { return }
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      // address perms offset dev inode path. Code is never written to, so nothing is lost; data that the loader has
      // relocated would be.
      let fields = line.split(separator: " ", omittingEmptySubsequences: true)
      guard fields.count == 6, fields[1] == "r-xp", fields[5].hasPrefix("/") else { continue }
      let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
      guard ends.count == 2, ends[0] < ends[1], let start = UnsafeMutableRawPointer(bitPattern: ends[0]) else {
        continue
      }
      _ = madvise(start, Int(ends[1] - ends[0]), MADV_DONTNEED)
    }
  }
}

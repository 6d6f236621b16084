import Errors
import Glibc
import Linux

// malloc.h is not among the headers that the Glibc module shows.
@_silgen_name("mallopt") private func mallopt(_ parameter: Int32, _ value: Int32) -> Int32
@_silgen_name("malloc_trim") private func malloc_trim(_ padding: Int) -> Int32

/// Keeps a process that exists once per container as small as it can be.
enum Memory {
  private static let topPad: Int32 = -2
  private static let mmapThreshold: Int32 = -3
  private static let arenaMax: Int32 = -8
  private static let page = 4096
  /// How much of the stack below the caller may have been used: more than making a container takes, less than the gap
  /// that the kernel keeps free below a stack.
  private static let stackDepth = 256 * 1024
  /// The program's own code.
  private static let text = executableMapping()

  /// One arena; and large blocks go back to the kernel when they are freed, whatever was freed before.
  static func configure() {
    _ = mallopt(arenaMax, 1)
    _ = mallopt(mmapThreshold, 64 * 1024)
    _ = mallopt(topPad, 16 * 1024)
  }

  /// Gives back what an idle process does not need: free memory of the heap, the stack below the caller, and the mapping
  /// of code, which stays in the page cache and comes back when it is used.
  static func trim() {
    // First, because finding it for the first time takes memory.
    if let text { _ = madvise(UnsafeMutableRawPointer(bitPattern: text.lowerBound), text.count, MADV_DONTNEED) }
    _ = malloc_trim(0)
    var marker = 0
    withUnsafeMutableBytes(of: &marker) { bytes in
      guard let base = bytes.baseAddress else { return }
      // A page below: the functions called from here still need theirs.
      let end = UInt(bitPattern: base) / UInt(page) * UInt(page) - UInt(page)
      // Fails for the part that was never used, after having done the rest.
      _ = madvise(UnsafeMutableRawPointer(bitPattern: end - UInt(stackDepth)), stackDepth, MADV_DONTNEED)
    }
  }

  private static func executableMapping() -> Range<UInt>? {
    guard let maps = try? Files.read("/proc/self/maps", limit: 65536) else { return nil }
    for line in maps.split(separator: 0x0a) {
      // 00400000-00a80000 r-xp 00000000 fe:00 5399037   /path; private and never written, so that it can be read again.
      let fields = String(decoding: line, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: true)
      guard fields.count >= 6, fields[1] == "r-xp", fields[5].hasPrefix("/") else { continue }
      let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
      guard ends.count == 2, ends[0] < ends[1] else { return nil }
      return ends[0]..<ends[1]
    }
    return nil
  }
}

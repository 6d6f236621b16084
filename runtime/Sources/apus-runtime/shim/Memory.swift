// malloc.h is not among the headers that the Glibc module shows.
@_silgen_name("mallopt") private func mallopt(_ parameter: Int32, _ value: Int32) -> Int32
@_silgen_name("malloc_trim") private func malloc_trim(_ padding: Int) -> Int32

/// Keeps the heap of a process that exists once per container as small as it can be.
enum Memory {
  private static let topPad: Int32 = -2
  private static let mmapThreshold: Int32 = -3
  private static let arenaMax: Int32 = -8

  /// One arena; and large blocks go back to the kernel when they are freed, whatever was freed before.
  static func configure() {
    _ = mallopt(arenaMax, 1)
    _ = mallopt(mmapThreshold, 64 * 1024)
    _ = mallopt(topPad, 16 * 1024)
  }

  /// Gives free memory back to the kernel.
  static func trim() { _ = malloc_trim(0) }
}

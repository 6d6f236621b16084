import Errors
import Glibc
import Linux

extension Tree {
  /// What everything in a directory takes, on the same mount.
  public static func diskUsage(_ directory: Int32, cancelled: Cancellation = { false }) throws(ApusError) -> Usage {
    let top = try TreeStep.reopen(directory: directory)
    var usage = Usage(bytes: 0, allocated: 0, inodes: 0)
    var seen: Set<FileIdentity> = []
    try add(top.raw, mountID: EntryStatus.of(top.raw).mountID, depth: 0, &usage, &seen, cancelled)
    return usage
  }

  private static func add(
    _ directory: Int32, mountID: UInt64, depth: Int, _ usage: inout Usage, _ seen: inout Set<FileIdentity>,
    _ cancelled: Cancellation
  ) throws(ApusError) {
    if cancelled() { throw ApusError(.internal, "counting was cancelled") }
    for name in try TreeStep.list(directory, sorted: false) {
      guard let status = try EntryStatus.find(name, at: directory), status.mountID == mountID else { continue }
      if !status.isDirectory, status.links > 1, !seen.insert(status.identity).inserted { continue }
      usage.inodes += 1
      usage.allocated += status.blocks * 512
      if status.isDirectory {
        guard depth < TreeStep.depthLimit, let opened = try? TreeStep.openDirectory(name, at: directory) else {
          continue
        }
        try add(opened.raw, mountID: mountID, depth: depth + 1, &usage, &seen, cancelled)
      } else {
        usage.bytes += status.size
      }
    }
  }
}

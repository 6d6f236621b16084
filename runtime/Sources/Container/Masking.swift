import CLinux
import Errors
import Glibc
import Linux

extension RootTree {
  /// Makes paths read-only, with all that is mounted below. Missing ones are skipped.
  func makeReadOnly(_ paths: [String]) throws(ApusError) {
    for path in paths {
      guard let target = try openIfPresent(path) else { continue }
      let copy = try Mounts.clone(at: target.raw, "", recursive: true)
      try Mounts.setAttributes(at: copy.raw, "", set: .readOnly, recursive: true)
      try Mounts.attach(copy.raw, at: target.raw, "")
    }
  }

  /// Hides paths: directories below an empty read-only one, everything else below the null device. Missing ones are
  /// skipped. Target and cover are both held by descriptor from the check on.
  func mask(_ paths: [String]) throws(ApusError) {
    var null: Int32 = -1
    var empty: Int32 = -1
    defer {
      if null >= 0 { close(null) }
      if empty >= 0 { close(empty) }
    }
    for path in paths {
      guard let target = try openIfPresent(path) else { continue }
      let isDirectory = try Files.status(target.raw).st_mode & S_IFMT == S_IFDIR
      if isDirectory, empty < 0 {
        // One empty file system for all: making one costs more than everything else here. It goes on the first path
        // itself, because only an attached mount can be copied before Linux 6.15.
        let context = try FilesystemContext("tmpfs")
        try context.set("nr_inodes", "1")
        try context.set("mode", "555")
        empty = try context.create(attributes: [.readOnly, .noSetUserID, .noDevices, .noExecute]).release()
        try Mounts.attach(empty, at: target.raw, "")
        continue
      }
      if !isDirectory, null < 0 { null = try openNull().release() }
      let copy = try Mounts.clone(at: isDirectory ? empty : null, "")
      if !isDirectory { try Mounts.setAttributes(at: copy.raw, "", set: .readOnly) }
      try Mounts.attach(copy.raw, at: target.raw, "")
    }
  }
}

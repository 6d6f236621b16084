import Errors
import Glibc

/// Makes an archive of a file or directory of this machine.
struct LocalSource {
  private let sink: (ArraySlice<UInt8>) throws -> Void
  private var links: [UInt64: [UInt64: String]] = [:]

  /// - Parameters:
  ///   - path: what to archive.
  ///   - name: the name its entry gets; entries below begin with it. `.` puts a directory's content at the top.
  static func archive(_ path: String, as name: String, to sink: @escaping (ArraySlice<UInt8>) throws -> Void) throws {
    var source = LocalSource(sink: sink)
    try source.add(path, name)
    try sink(TarWriter.end[...])
  }

  private init(sink: @escaping (ArraySlice<UInt8>) throws -> Void) { self.sink = sink }

  private mutating func add(_ path: String, _ name: String) throws {
    var status = stat()
    guard lstat(path, &status) == 0 else { throw LocalFile.failure("read", path) }
    var entry = TarEntry(kind: .file, name: name)
    entry.mode = UInt32(status.st_mode) & 0o7777
    entry.owner = status.st_uid
    entry.group = status.st_gid
    entry.modified = Int64(status.st_mtim.tv_sec)
    switch status.st_mode & S_IFMT {
    case S_IFDIR:
      entry.kind = .directory
      entry.name += "/"
      try sink(TarWriter.header(entry)[...])
      for child in try Self.children(path) { try add(path + "/" + child, name + "/" + child) }
      return
    case S_IFREG:
      if status.st_nlink > 1 {
        if let first = links[UInt64(status.st_dev)]?[UInt64(status.st_ino)] {
          entry.kind = .hardLink
          entry.target = first
          return try sink(TarWriter.header(entry)[...])
        }
        links[UInt64(status.st_dev), default: [:]][UInt64(status.st_ino)] = name
      }
      return try file(path, entry)
    case S_IFLNK:
      entry.kind = .symbolicLink
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = buffer.withUnsafeMutableBytes { target in
        target.withMemoryRebound(to: CChar.self) { text in
          text.baseAddress.map { readlink(path, $0, text.count) } ?? -1
        }
      }
      guard count >= 0 else { throw LocalFile.failure("read", path) }
      entry.target = String(decoding: buffer[..<count], as: UTF8.self)
    case S_IFIFO: entry.kind = .fifo
    case S_IFCHR, S_IFBLK:
      entry.kind = status.st_mode & S_IFMT == S_IFCHR ? .characterDevice : .blockDevice
      let device = UInt64(status.st_rdev)
      entry.device = (
        UInt32(device >> 8 & 0xFFF | device >> 32 & ~0xFFF), UInt32(device & 0xFF | device >> 12 & 0xFFF_FF00)
      )
    default:
      // A socket has no meaning in another place.
      return
    }
    try sink(TarWriter.header(entry)[...])
  }

  private func file(_ path: String, _ given: TarEntry) throws {
    let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw LocalFile.failure("read", path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw LocalFile.failure("read", path) }
    var entry = given
    entry.size = Int64(status.st_size)
    try sink(TarWriter.header(entry)[...])
    var remaining = Int(entry.size)
    var buffer = [UInt8](repeating: 0, count: 256 * 1024)
    while remaining > 0 {
      let wanted = min(remaining, buffer.count)
      let count = buffer.withUnsafeMutableBytes { bytes in retrying { read(descriptor, bytes.baseAddress, wanted) } }
      guard count >= 0 else { throw LocalFile.failure("read", path) }
      // It shrank while it was read: the header promised more, so zeros keep the archive whole.
      let part = count == 0 ? [UInt8](repeating: 0, count: wanted)[...] : buffer[..<count]
      try sink(part)
      remaining -= part.count
    }
    try sink(TarWriter.padding(Int(entry.size))[...])
  }

  private static func children(_ path: String) throws -> [String] {
    guard let directory = opendir(path) else { throw LocalFile.failure("read", path) }
    defer { closedir(directory) }
    var names: [String] = []
    while let item = readdir(directory) {
      let name = withUnsafePointer(to: &item.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}

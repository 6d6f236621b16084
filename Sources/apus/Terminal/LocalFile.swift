import Errors
import Glibc

/// Files of the user that an option names.
enum LocalFile {
  /// The whole of a file that is small by nature.
  static func read(_ path: String, limit: Int = 16 << 20) throws(ApusError) -> [UInt8] {
    let descriptor = path == "-" ? dup(0) : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("read", path) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var scratch = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
      let count = scratch.withUnsafeMutableBytes { target in
        retrying { Glibc.read(descriptor, target.baseAddress, target.count) }
      }
      if count == 0 { return bytes }
      guard count > 0 else { throw failure("read", path) }
      bytes += scratch[..<count]
      guard bytes.count <= limit else {
        throw ApusError(.invalidArgument, "\(path) is larger than \(limit) bytes.")
      }
    }
  }

  /// Writes a new file; one that exists is an error.
  static func create(_ path: String, _ bytes: [UInt8]) throws(ApusError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure("create", path) }
    defer { close(descriptor) }
    try write(bytes[...], to: descriptor, named: path)
  }

  static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32, named path: String) throws(ApusError) {
    var rest = bytes
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { buffer in
        retrying { Glibc.write(descriptor, buffer.baseAddress, buffer.count) }
      }
      guard count >= 0 else { throw failure("write", path) }
      rest = rest.dropFirst(count)
    }
  }

  /// Whether there is a directory, perhaps behind a link.
  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  static func failure(_ verb: String, _ path: String) -> ApusError {
    let number = errno
    let code: ErrorCode =
      switch number {
      case ENOENT: .notFound
      case EACCES, EPERM: .permissionDenied
      case EEXIST: .conflict
      default: .internal
      }
    return ApusError(code, "Cannot \(verb) \(path): \(String(cString: strerror(number))).")
  }
}

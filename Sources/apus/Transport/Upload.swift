import Errors
import Glibc

/// A request whose body is an archive, sent while it is read or made.
struct Upload {
  let client: Client

  /// The daemon stopped taking the body; its answer says why.
  private struct Refused: Error {}

  /// Sends a file, or standard input for `-`, and returns the connection with the response's head read.
  func post(_ target: String, from file: String, method: String = "POST") throws -> Connection {
    if file == "-", Console.isTerminal(0) {
      throw ExitStatus(
        status: 1, message: "Standard input is a terminal; name a file, or redirect an archive into the command.")
    }
    let descriptor = file == "-" ? dup(0) : open(file, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw LocalFile.failure("read", file) }
    defer { close(descriptor) }
    return try send(target, method: method) { sink in
      var buffer = [UInt8](repeating: 0, count: 256 * 1024)
      while true {
        let count = buffer.withUnsafeMutableBytes { bytes in
          retrying { read(descriptor, bytes.baseAddress, bytes.count) }
        }
        guard count >= 0 else { throw LocalFile.failure("read", file) }
        if count == 0 { return }
        try sink(buffer[..<count])
      }
    }
  }

  /// Sends what `produce` hands to its sink.
  func send(
    _ target: String, method: String, produce: ((ArraySlice<UInt8>) throws -> Void) throws -> Void
  ) throws -> Connection {
    let connection = try client.connect()
    try connection.send(
      method, target, headers: [("Content-Type", "application/x-tar"), ("Transfer-Encoding", "chunked")])
    do {
      try produce { bytes in
        // An empty chunk would end the body.
        if bytes.isEmpty { return }
        do { try connection.sendChunk(bytes) } catch { throw Refused() }
      }
      do { try connection.sendChunk([]) } catch { throw Refused() }
    } catch is Refused {}
    _ = try client.accept(connection, method: method)
    return connection
  }
}

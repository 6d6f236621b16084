import Errors
import Glibc
import Linux

/// criu asked by messages (criu's images/rpc.proto) instead of by its command line: what a container with a terminal
/// needs, whose other end comes and goes with whoever serves it.
struct CheckpointService {
  enum Request: UInt64 {
    case dump = 1
    case restore = 2
    /// The answer to criu's word of where it has come to.
    case notify = 6
  }

  let tool: CheckpointTool

  /// - Parameters:
  ///   - process: the one to be dumped; 0 for a restore.
  ///   - arguments: as for the command line, without the verb.
  ///   - log: the name of the file in `logs`.
  /// - Returns: the number of the restored process, and the master of its terminal, if there was one.
  func ask(
    _ request: Request, process: pid_t = 0, arguments: [String], images: String, logs: String, log: String,
    descriptors: [(ours: Int32, theirs: Int32)]
  ) throws(ApusError) -> (process: pid_t, terminal: Int32?) {
    let settings = "\(logs)/criu.conf"
    try Files.writeAtomically(Array(try Self.settings(arguments).utf8), to: settings, mode: 0o600)
    defer { _ = unlink(settings) }
    let imageDirectory = try Files.open(images, flags: O_RDONLY | O_DIRECTORY)
    let logDirectory = try Files.open(logs, flags: O_RDONLY | O_DIRECTORY)
    var pair = try UnixSocket.pair(.packets)
    let theirs = Int32(descriptors.count)
    let criu = try tool.start(["swrk", String(theirs)], descriptors: descriptors + [(pair.second.raw, theirs)])
    // Its end is how we learn that criu has ended.
    pair.second = OwnedDescriptor(owning: -1)
    defer { _ = try? Processes.wait(for: criu) }

    var options = ProtobufWriter()
    // criu finds them in our /proc directory.
    options.write(1, UInt64(imageDirectory.raw))
    options.write(17, UInt64(logDirectory.raw))
    if process > 0 { options.write(2, UInt64(process)) }
    options.write(9, 4)
    options.write(10, log)
    // Words of where it has come to: with one of them comes the terminal.
    options.write(12, 1)
    options.write(50, 1)
    options.write(51, settings)
    var message = ProtobufWriter()
    message.write(1, request.rawValue)
    message.write(2, options.bytes)
    try UnixSocket.send(message.bytes, on: pair.first.raw)
    return try answer(to: request, on: pair.first.raw)
  }

  private func answer(to request: Request, on socket: Int32) throws(ApusError) -> (pid_t, Int32?) {
    var terminal: Int32?
    do throws(ApusError) {
      while true {
        let (bytes, received) = try UnixSocket.receive(on: socket, limit: 1 << 16, descriptorLimit: 1)
        guard !bytes.isEmpty else { throw ApusError(.internal, "criu has ended without an answer") }
        let fields = try ProtobufReader.fields(bytes[...])
        guard fields[1]?.number == Request.notify.rawValue else {
          for descriptor in received { close(descriptor) }
          guard fields[1]?.number == request.rawValue, fields[2]?.number == 1 else {
            throw ApusError(.internal, "criu failed")
          }
          let restored = try ProtobufReader.fields(fields[4]?.bytes ?? [])
          return (pid_t(truncatingIfNeeded: restored[1]?.number ?? 0), terminal)
        }
        for descriptor in received {
          if let terminal { close(terminal) }
          terminal = descriptor
        }
        var reply = ProtobufWriter()
        reply.write(1, Request.notify.rawValue)
        reply.write(3, 1)
        try UnixSocket.send(reply.bytes, on: socket)
      }
    } catch {
      if let terminal { close(terminal) }
      throw error
    }
  }

  /// Options of the command line as lines of criu's configuration file.
  private static func settings(_ arguments: [String]) throws(ApusError) -> String {
    var lines: [String] = []
    for argument in arguments {
      guard argument.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5c }) else {
        throw ApusError(.invalidArgument, "criu's settings cannot have the text \"\(argument)\"")
      }
      if argument.hasPrefix("--") {
        let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1)
        lines.append(parts.count == 2 ? "\(parts[0]) \"\(parts[1])\"" : String(parts[0]))
      } else if !argument.hasPrefix("-"), let last = lines.indices.last {
        lines[last] += " \"\(argument)\""
      }
    }
    return lines.map { "\($0)\n" }.joined()
  }
}

/// Messages of Protocol Buffers: numbers and texts, which is all that criu is told.
struct ProtobufWriter {
  private(set) var bytes: [UInt8] = []

  mutating func write(_ field: UInt64, _ number: UInt64) {
    append(field << 3)
    append(number)
  }

  mutating func write(_ field: UInt64, _ text: String) { write(field, Array(text.utf8)) }

  mutating func write(_ field: UInt64, _ content: [UInt8]) {
    append(field << 3 | 2)
    append(UInt64(content.count))
    bytes += content
  }

  private mutating func append(_ number: UInt64) {
    var rest = number
    while rest > 0x7f {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

/// The way back. A field that is there twice has the last of its values.
enum ProtobufReader {
  struct Field: Equatable {
    var number: UInt64 = 0
    var bytes: ArraySlice<UInt8> = []
  }

  static func fields(_ message: ArraySlice<UInt8>) throws(ApusError) -> [UInt64: Field] {
    var rest = message
    func broken() -> ApusError { ApusError(.internal, "a message of criu is not valid") }
    func number() throws(ApusError) -> UInt64 {
      var value: UInt64 = 0
      for shift in stride(from: UInt64(0), to: 64, by: 7) {
        guard let byte = rest.popFirst() else { throw broken() }
        value |= UInt64(byte & 0x7f) << shift
        if byte < 0x80 { return value }
      }
      throw broken()
    }
    func take(_ count: UInt64) throws(ApusError) -> ArraySlice<UInt8> {
      guard count <= UInt64(rest.count) else { throw broken() }
      defer { rest = rest.dropFirst(Int(count)) }
      return rest.prefix(Int(count))
    }
    var fields: [UInt64: Field] = [:]
    while !rest.isEmpty {
      let key = try number()
      switch key & 7 {
      case 0: fields[key >> 3] = Field(number: try number())
      case 1: _ = try take(8)
      case 2: fields[key >> 3] = Field(bytes: try take(number()))
      case 5: _ = try take(4)
      default: throw broken()
      }
    }
    return fields
  }
}

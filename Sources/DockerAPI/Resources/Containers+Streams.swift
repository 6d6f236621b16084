import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Hummingbird
import NIOCore

/// A container's input and output, live and logged.
extension DockerAPI {
  @Sendable func attachContainer(_ request: APIRequest) async throws -> Response {
    let instance = try await instance(request)
    let record = await instance.record
    switch record.state.status {
    case .paused:
      throw ApusError(.conflict, "container \(record.id) is paused, unpause the container before attach")
    case .restarting:
      throw ApusError(.conflict, "container \(record.id) is restarting, wait until the container is running")
    default: break
    }
    let query = request.query
    var options = AttachOptions()
    options.stdin = query.flag("stdin") && record.configuration.process.openStdin
    options.stdout = query.flag("stdout")
    options.stderr = query.flag("stderr")
    options.logs = query.flag("logs")
    options.stream = query.flag("stream")
    options.detachKeys = query.text("detachKeys")
    let session = try await instance.attach(options)
    let hijack = Hijack(
      connection: try await request.connection(), upgrade: request.asksForUpgrade, multiplexed: !session.terminal,
      input: options.stdin, version: request.version)
    do {
      try await hijack.begin()
    } catch {
      await session.close()
      throw error
    }
    // The Docker SDK for Python drops what it reads along with the headers; the log must not be that.
    if options.logs { try? await Task.sleep(for: .milliseconds(2)) }
    await hijack.carry(session)
    return .empty(.ok)
  }

  @Sendable func attachContainerWebSocket(_ request: APIRequest) async throws -> Response {
    throw ApusError(.unsupported, "attaching by websocket is not available: use POST /containers/{id}/attach")
  }

  @Sendable func resizeContainer(_ request: APIRequest) async throws -> Response {
    try await instance(request).resize(try TerminalSize(request.query))
    return .empty(.ok)
  }

  @Sendable func containerLogs(_ request: APIRequest) async throws -> Response {
    let instance = try await instance(request)
    let query = request.query
    var options = LogOptions()
    options.stdout = query.flag("stdout")
    options.stderr = query.flag("stderr")
    guard options.stdout || options.stderr else {
      throw ApusError(.invalidArgument, "Bad parameters: you must choose at least one stream")
    }
    options.follow = query.flag("follow")
    options.since = try query.date("since")
    options.until = try query.date("until")
    if let tail = query.text("tail"), tail != "all" {
      // Anything that is no count means all of it.
      options.tail = Int(tail).flatMap { $0 >= 0 ? $0 : nil }
    }
    let form = LogForm(
      multiplexed: await !instance.record.configuration.process.terminal, timestamps: query.flag("timestamps"))
    let batches = try await instance.logBatches(options)
    let type = form.multiplexed && request.version >= .multiplexedStreams ? "multiplexed" : "raw"
    return .stream("application/vnd.docker.\(type)-stream", to: try await request.connection()) { writer in
      // A write per batch: one per line costs ten times as much as reading them.
      for try await batch in batches {
        var bytes = ByteBuffer()
        for entry in batch { bytes.writeImmutableBuffer(form.bytes(entry)) }
        try await writer.write(bytes)
      }
    }
  }
}

/// How a log entry is sent.
struct LogForm: Sendable {
  let multiplexed: Bool
  let timestamps: Bool

  func bytes(_ entry: LogEntry) -> ByteBuffer {
    var line = entry.line
    if timestamps {
      var stamped = ByteBuffer()
      stamped.reserveCapacity(32 + line.readableBytes)
      stamped.writeString(entry.timestamp)
      stamped.writeInteger(UInt8(ascii: " "))
      stamped.writeBuffer(&line)
      line = stamped
    }
    guard multiplexed else { return line }
    return StreamFrame(OutputChunk(stream: entry.stream, bytes: line)).buffer(with: line)
  }
}

extension TerminalSize {
  /// `h` and `w` of a resize.
  init(_ query: Query) throws(ApusError) {
    guard let rows = try query.number("h"), let columns = try query.number("w") else {
      throw ApusError(.invalidArgument, "a resize needs the query parameters h (rows) and w (columns)")
    }
    guard rows >= 0, columns >= 0 else {
      throw ApusError(.invalidArgument, "a terminal cannot have a size of \(rows) by \(columns)")
    }
    self.init(rows: UInt16(clamping: rows), columns: UInt16(clamping: columns))
  }
}

import FoundationEssentials
import NIOCore

/// What attach and exec connect: which streams, and the keys that detach.
public struct AttachOptions: Sendable {
  public var stdin = false
  public var stdout = false
  public var stderr = false
  /// Play the log first.
  public var logs = false
  /// Follow the live streams.
  public var stream = true
  /// `ctrl-p,ctrl-q` form; nil: that default. Only with a terminal.
  public var detachKeys: String?
  public init() {}
}

public enum OutputStream: UInt8, Sendable { case stdin = 0, stdout = 1, stderr = 2 }

public struct OutputChunk: Sendable {
  public var stream: OutputStream
  public var bytes: ByteBuffer
  public init(stream: OutputStream, bytes: ByteBuffer) { self.stream = stream; self.bytes = bytes }
}

/// The far end of an attach or an exec. Reading slowly slows the writer inside; nothing is buffered without bound.
public protocol StreamSession: Sendable {
  /// One terminal stream (raw) rather than separate stdout and stderr.
  var terminal: Bool { get }
  /// The next output, nil at the end or after detach.
  func read() async throws -> OutputChunk?
  func write(_ bytes: ByteBuffer) async throws
  func closeInput() async
  /// Stop without touching the process.
  func close() async
}

public struct LogOptions: Sendable {
  public var stdout = true
  public var stderr = true
  public var follow = false
  public var since: Date?
  public var until: Date?
  /// nil: all.
  public var tail: Int?
  public init() {}
}

public struct LogEntry: Sendable {
  public var stream: OutputStream
  /// With its newline, where it had one.
  public var line: ByteBuffer
  public var time: Date
  /// RFC 3339 with nanoseconds, as in the file.
  public var timestamp: String
  public init(stream: OutputStream, line: ByteBuffer, time: Date, timestamp: String) {
    self.stream = stream
    self.line = line
    self.time = time
    self.timestamp = timestamp
  }
}

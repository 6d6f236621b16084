import FoundationEssentials
import NIOCore

public enum ChangeKind: Int, Sendable { case modified = 0, added = 1, deleted = 2 }

public struct FileChange: Sendable {
  public var path: String
  public var kind: ChangeKind
  public init(path: String, kind: ChangeKind) { self.path = path; self.kind = kind }
}

/// What `HEAD …/archive` tells (Docker's X-Docker-Container-Path-Stat).
public struct PathStat: Sendable {
  public var name: String
  public var size: Int64
  /// Go's os.FileMode bits.
  public var mode: UInt32
  public var modified: Date
  public var linkTarget: String
  public init(name: String, size: Int64, mode: UInt32, modified: Date, linkTarget: String) {
    self.name = name
    self.size = size
    self.mode = mode
    self.modified = modified
    self.linkTarget = linkTarget
  }
}

/// Bytes produced on demand: the consumer's pace is the producer's.
public typealias ByteStream = AsyncThrowingStream<ByteBuffer, any Error>

public struct CommitOptions: Sendable {
  /// `name[:tag]`, or nil for an image without a name.
  public var reference: String?
  public var comment = ""
  public var author = ""
  public var pause = true
  /// Dockerfile instructions (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, STOPSIGNAL, HEALTHCHECK).
  public var changes: [String] = []
  public init() {}
}

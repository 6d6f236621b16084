import Errors
import ImageSpec

// Signatures whose bodies belong to Files, Logs and Specification. Each goes from here when its own file comes.
extension Instance {
  public func logs(_ options: LogOptions) async throws -> AsyncThrowingStream<LogEntry, any Error> { throw pending }
  public func top(_ psArguments: String) async throws -> ProcessTable { throw pending }
  public func stats() async throws -> StatsSample { throw pending }
  public func changes() async throws -> [FileChange] { throw pending }
  public func stat(path: String) async throws -> PathStat { throw pending }
  public func archive(path: String) async throws -> (PathStat, ByteStream) { throw pending }
  public func extract(
    into path: String, noOverwriteDirNonDir: Bool, copyUIDGID: Bool, from stream: ByteStream
  ) async throws { throw pending }
  public func export() async throws -> ByteStream { throw pending }
  public func commit(_ options: CommitOptions) async throws -> Digest { throw pending }
  public func sizes() async throws -> (writable: Int64, total: Int64) { throw pending }

  private var pending: ApusError { ApusError(.unsupported, "not built yet") }
}

import Errors
import ImageSpec

// Signatures whose bodies belong to Files, Logs and Specification. Each goes from here when its own file comes.
extension Instance {
  public func logs(_ options: LogOptions) async throws -> AsyncThrowingStream<LogEntry, any Error> { throw pending }
  public func top(_ psArguments: String) async throws -> ProcessTable { throw pending }
  public func stats() async throws -> StatsSample { throw pending }

  private var pending: ApusError { ApusError(.unsupported, "not built yet") }
}

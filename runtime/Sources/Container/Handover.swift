import Errors
import Glibc
import Linux

/// How a container is started by another process than the one that has created it: two FIFOs that outlive the creator.
///
/// The first process holds both open. It waits for one byte at the first, and says at the second why its program could
/// not be executed. Both are close-on-exec: the end of the second without a word is the program's beginning, and a
/// second start finds no reader at the first.
public struct Handover: Sendable, Equatable {
  /// A FIFO open for reading and writing, so that its reader never sees an end before a start.
  public var start: Int32
  /// Another, for the report.
  public var report: Int32

  public init(start: Int32, report: Int32) {
    self.start = start
    self.report = report
  }

  /// Lets the waiting process run its program; returns when the kernel has executed it.
  /// - Parameters:
  ///   - directory: holds the FIFOs.
  /// - Throws: `conflict` when nobody waits (any more); an error whose cause is an ``ExecFailure`` when the program
  ///   could not be executed, after which the process has ended.
  public static func release(at directory: Int32, start: String, report: String) throws(ApusError) {
    // Without blocking, because a FIFO nobody writes to would make this open(2) wait for ever.
    let answer = try Files.open(
      at: directory, path: report, flags: O_RDONLY | O_NONBLOCK, resolve: [.beneath, .noSymlinks])
    let gate: OwnedDescriptor
    do {
      gate = try Files.open(at: directory, path: start, flags: O_WRONLY | O_NONBLOCK, resolve: [.beneath, .noSymlinks])
    } catch  where error.errno == ENXIO {
      throw ApusError(.conflict, "no process waits to be started", cause: error.cause)
    }
    try Channel.send(.start, on: gate.raw)
    try check(fcntl(answer.raw, F_SETFL, 0), "cannot wait for a container's start")
    let bytes = try Files.read(descriptor: answer.raw, limit: Channel.maximumLength, name: "the answer of a container")
    guard !bytes.isEmpty else { return }
    throw Channel.decode(bytes.dropFirst())
  }
}

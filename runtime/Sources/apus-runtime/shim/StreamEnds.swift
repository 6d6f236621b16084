import Container
import Errors
import Glibc
import Linux

/// The streams of a process that is about to be made: its ends, which are closed with this object, and ours.
final class StreamEnds {
  /// What the process gets.
  private(set) var theirs: ProcessStreams

  private var childInput: Int32 = -1
  private var childOutput: Int32 = -1
  private var childError: Int32 = -1
  private var input: Int32 = -1
  private var output: Int32 = -1
  private var error: Int32 = -1

  /// Streams that nobody wants are the null device.
  /// - Parameter terminal: the size of a terminal, which then is all three streams; the container makes it.
  init(terminal: (rows: UInt16, columns: UInt16)?, input: Bool, output: Bool, error: Bool) throws(ApusError) {
    if let terminal {
      theirs = .terminal(rows: terminal.rows, columns: terminal.columns)
      return
    }
    // What is made is closed with this object, also when the next one fails.
    theirs = .descriptors(input: -1, output: -1, error: -1)
    (childInput, self.input) = try Self.make(isWanted: input, isInput: true)
    (childOutput, self.output) = try Self.make(isWanted: output, isInput: false)
    (childError, self.error) = try Self.make(isWanted: error, isInput: false)
    theirs = .descriptors(input: childInput, output: childOutput, error: childError)
  }

  deinit {
    release(childInput)
    release(childOutput)
    release(childError)
    release(input)
    release(output)
    release(error)
  }

  private func release(_ descriptor: Int32) {
    if descriptor >= 0 { close(descriptor) }
  }

  /// What the process gets, as descriptors; none where it makes a terminal.
  var descriptors: [Int32] {
    if case .descriptors(let input, let output, let error) = theirs { return [input, output, error] }
    return []
  }

  /// Our ends, once the process exists; `terminal` is what the container made.
  func hub(
    terminal: consuming OwnedDescriptor?, input wantsInput: Bool, closesInput: Bool, log: JSONLog?, loop: EventLoop
  ) throws(ApusError) -> StreamHub {
    let hub = StreamHub(closesInput: closesInput, log: log, loop: loop)
    if let terminal {
      // Two descriptors, because one of them waits to read and the other to write.
      if wantsInput { hub.setInput(try terminal.duplicate()) }
      hub.setTerminal(terminal)
      return hub
    }
    if let descriptor = take(&input) { hub.setInput(descriptor) }
    if let descriptor = take(&output) { hub.addOutput(descriptor, .stdout) }
    if let descriptor = take(&error) { hub.addOutput(descriptor, .stderr) }
    return hub
  }

  private func take(_ descriptor: inout Int32) -> OwnedDescriptor? {
    guard descriptor >= 0 else { return nil }
    defer { descriptor = -1 }
    return OwnedDescriptor(owning: descriptor)
  }

  private static func make(isWanted: Bool, isInput: Bool) throws(ApusError) -> (child: Int32, ours: Int32) {
    guard isWanted else {
      return (try Files.open("/dev/null", flags: isInput ? O_RDONLY : O_WRONLY).release(), -1)
    }
    var ends: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutableBytes(of: &ends) { bytes in
      bytes.withMemoryRebound(to: Int32.self) { pipe2($0.baseAddress, O_CLOEXEC) }
    }
    try check(result, "cannot make a pipe")
    return isInput ? (ends.0, ends.1) : (ends.1, ends.0)
  }
}

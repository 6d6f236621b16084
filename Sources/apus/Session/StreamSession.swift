import Errors
import Glibc

/// Moves bytes between this process's standard streams and a container's, until the container's end.
///
/// One thread and one `poll`: it waits for the keyboard, the stream, the answer to `wait`, and signals together. Input
/// that the daemon does not take yet is kept and no more is read, so that a container that neither reads nor is read
/// cannot block the two directions against each other.
struct StreamSession {
  enum Ending: Equatable {
    /// The stream ended, and the answer to `wait` is the body given (empty when none was asked for).
    case ended([UInt8])
    /// The user left with the detach keys.
    case detached
  }

  /// The connection that became a stream.
  let stream: Connection
  /// The connection on which `wait` has been asked.
  var waiting: Connection?
  /// Whether the program has a terminal: then its output is one stream, without frames.
  let terminal: Bool
  let forwardsInput: Bool
  var keys: DetachKeys?
  var signals: SignalPipe?
  var onSignal: (Int32) -> Void = { _ in }

  private var demultiplexer = StreamDemultiplexer()
  private var pending: ArraySlice<UInt8> = []
  private var inputEnded = false
  private var streamEnded = false
  private var answer: [UInt8] = []
  private var answerComplete = false
  private var answeredAt: Double?

  /// Output may go on after the program ended, held by something else; this is how long it is waited for.
  private static let grace = 5.0

  init(stream: Connection, waiting: Connection?, terminal: Bool, forwardsInput: Bool) {
    self.stream = stream
    self.waiting = waiting
    self.terminal = terminal
    self.forwardsInput = forwardsInput
    inputEnded = !forwardsInput
    answerComplete = waiting == nil
  }

  /// Moves bytes until the end. Detach keys are looked for where ``keys`` is set: in a terminal's input.
  mutating func run() throws -> Ending {
    try show(stream.takeBuffered())
    if let waiting, waiting.body.isDone { answerComplete = true }
    while !(streamEnded && answerComplete) {
      var descriptors = [
        pollfd(fd: stream.socket.descriptor, events: streamEvents, revents: 0),
        pollfd(fd: wantsInput ? 0 : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: answerComplete ? -1 : waiting?.socket.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signals?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
      ]
      if streamEnded { descriptors[0].fd = -1 }
      let ready = poll(&descriptors, nfds_t(descriptors.count), answeredAt == nil ? -1 : 1000)
      if ready < 0, errno != EINTR { throw LocalFile.failure("wait for", "input and output") }
      if descriptors[3].revents != 0, let signals { signals.drain().forEach(onSignal) }
      if descriptors[0].revents & Int16(POLLOUT) != 0 { try flush() }
      if descriptors[0].revents & ~Int16(POLLOUT) != 0 { try receive() }
      if descriptors[2].revents != 0 { try receiveAnswer() }
      if descriptors[1].revents != 0, try readInput() { return .detached }
      if let answeredAt, !streamEnded, Clock.seconds() - answeredAt > Self.grace { break }
    }
    return .ended(answer)
  }

  private var streamEvents: Int16 { Int16(POLLIN) | (pending.isEmpty ? 0 : Int16(POLLOUT)) }
  private var wantsInput: Bool { !inputEnded && !streamEnded && pending.isEmpty }

  private mutating func receive() throws {
    var output: [UInt8] = []
    let more = try stream.receiveAvailable(into: &output)
    try show(output)
    if !more { streamEnded = true }
  }

  private mutating func show(_ output: [UInt8]) throws {
    if output.isEmpty { return }
    if terminal { return try Console.write(output[...], to: 1) }
    try demultiplexer.feed(output) { try Console.write($0, to: $1) }
  }

  private mutating func receiveAnswer() throws {
    guard let waiting else { return }
    let more = try waiting.receiveAvailable(into: &answer)
    if !more {
      answerComplete = true
      answeredAt = Clock.seconds()
      if !waiting.body.isDone, answer.isEmpty {
        throw ApusError(
          .unavailable,
          "The connection to the daemon broke while the container was running; it goes on, 'apus ps' shows it.")
      }
    }
  }

  /// Reads the keyboard, or whatever standard input is. Returns whether the user left.
  private mutating func readInput() throws -> Bool {
    var buffer = [UInt8](repeating: 0, count: 32 * 1024)
    let count = buffer.withUnsafeMutableBytes { target in retrying { read(0, target.baseAddress, target.count) } }
    if count < 0, errno == EAGAIN { return false }
    guard count > 0 else {
      inputEnded = true
      stream.socket.finishSending()
      return false
    }
    var detached = false
    if keys != nil, let (forward, left) = keys?.filter(buffer[..<count]) {
      pending = forward[...]
      detached = left
    } else {
      pending = buffer[..<count]
    }
    try flush()
    return detached
  }

  private mutating func flush() throws {
    while !pending.isEmpty {
      let sent: Int
      do {
        sent = try stream.socket.sendAvailable(pending)
      } catch {
        // The program ended, or closed its input: what it printed is still to be read.
        inputEnded = true
        pending = []
        return
      }
      if sent == 0 { return }
      pending = pending.dropFirst(sent)
    }
  }
}

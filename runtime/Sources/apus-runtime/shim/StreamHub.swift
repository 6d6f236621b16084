import CLinux
import Errors
import Glibc
import Linux
import SandboxProtocol

/// A connection that takes part in the streams of a process.
final class Attachment {
  let connection: Connection
  let tag: UInt16
  let stdin: Bool
  let stdout: Bool
  let stderr: Bool

  init(_ connection: Connection, tag: UInt16, stdin: Bool, stdout: Bool, stderr: Bool) {
    self.connection = connection
    self.tag = tag
    self.stdin = stdin
    self.stdout = stdout
    self.stderr = stderr
  }
}

/// The streams of one process, and those who look at them.
///
/// The slowest attachment sets the pace: while one is congested nothing more is read, and the process waits when the pipe
/// is full, as it would for a slow terminal. A log without attachments never waits.
final class StreamHub {
  /// Called once when no output can come any more.
  var onEnd: () -> Void = {}
  private(set) var attachments: [Attachment] = []

  private let loop: EventLoop
  private var isTerminal = false
  /// The other side of the terminal, kept open while the process lives: a system's first process opens its console for a
  /// message and closes it again, which must not end the stream.
  private var terminalPeer: Int32 = -1
  private let log: JSONLog?
  /// Whether the end of the first attachment with stdin is the end of stdin.
  private let closesInput: Bool
  private var input: InputSink?
  private var pumps: [OutputPump] = []
  private var ignoresCongestion = false
  private var hasEnded = false

  init(closesInput: Bool, log: JSONLog?, loop: EventLoop) {
    self.closesInput = closesInput
    self.log = log
    self.loop = loop
  }

  deinit { closeTerminalPeer() }

  // MARK: Descriptors

  func setInput(_ descriptor: consuming OwnedDescriptor) {
    let sink = InputSink(descriptor, loop: loop)
    // Weak: a sink that still has bytes to write outlives its process's streams.
    sink.onDrain = { [weak self] in self?.resumeInput() }
    input = sink
  }

  /// The master of a terminal: everything the process writes is its stdout.
  func setTerminal(_ descriptor: consuming OwnedDescriptor) {
    isTerminal = true
    terminalPeer = clinux_pty_peer(descriptor.raw, O_RDWR | O_NOCTTY | O_CLOEXEC)
    addOutput(descriptor, .stdout)
  }

  private func closeTerminalPeer() {
    if terminalPeer >= 0 { close(terminalPeer) }
    terminalPeer = -1
  }

  func addOutput(_ descriptor: consuming OwnedDescriptor, _ stream: JSONLog.Stream) {
    let pump = OutputPump(descriptor, loop: loop)
    pump.onOutput = { [unowned self] in deliver($0, stream) }
    pump.onEnd = { [unowned self] in endIfDone() }
    pumps.append(pump)
  }

  /// The terminal, to resize it.
  var terminal: Int32? { isTerminal ? pumps.first { !$0.hasEnded }?.descriptor : nil }

  func start() {
    updateFlow()
    endIfDone()
  }

  // MARK: Attachments

  func attach(_ attachment: Attachment) {
    if hasEnded { return attachment.connection.send(Frame(.end, tag: attachment.tag)) }
    attachments.append(attachment)
  }

  /// The connection is gone, or wants no more of these streams.
  func detach(_ connection: Connection) {
    let leaving = attachments.filter { $0.connection === connection }
    guard !leaving.isEmpty else { return }
    attachments.removeAll { $0.connection === connection }
    // A terminal has no end of input: whoever typed can come back.
    if closesInput, !isTerminal, leaving.contains(where: { $0.stdin }) { closeInput() }
    updateFlow()
  }

  func write(_ bytes: [UInt8], from attachment: Attachment) {
    guard attachment.stdin, let input else { return }
    input.write(bytes)
    if input.isCongested { attachment.connection.isInputPaused = true }
  }

  func closeInput(from attachment: Attachment) {
    if attachment.stdin, closesInput, !isTerminal { closeInput() }
  }

  // MARK: Flow

  /// Pauses and resumes reading after an attachment's output grew or shrank.
  func updateFlow() {
    let isCongested = !ignoresCongestion && attachments.contains { $0.connection.isCongested }
    for pump in pumps where !pump.hasEnded { pump.isPaused = isCongested }
  }

  /// The process is dead: takes what is in the pipes now.
  /// - Parameter regardless: even if an attachment is congested. Without writers that is one pipeful at most.
  func drain(regardless: Bool) {
    closeTerminalPeer()
    if regardless {
      ignoresCongestion = true
      updateFlow()
    }
    for pump in pumps { pump.drain() }
  }

  /// Waiting for an attachment, not for the process.
  var isPaused: Bool { pumps.contains { !$0.hasEnded && $0.isPaused } }

  /// Gives up on what others still hold open, and lets the attachments go.
  func end() {
    for pump in pumps { pump.end() }
    // A connection that waited for the process to read goes on to its next frame.
    closeInput()
    attachments = []
    endIfDone()
  }

  var isDone: Bool { hasEnded }

  // MARK: Private

  private func deliver(_ bytes: UnsafeRawBufferPointer, _ stream: JSONLog.Stream) {
    // The log first: what a client has seen must be on disk.
    log?.append(bytes, stream)
    for attachment in attachments where stream == .stdout ? attachment.stdout : attachment.stderr {
      attachment.connection.send(stream == .stdout ? .stdout : .stderr, tag: attachment.tag, bytes)
    }
    updateFlow()
  }

  private func closeInput() {
    input?.close()
    input = nil
    resumeInput()
  }

  private func resumeInput() {
    for attachment in attachments where attachment.stdin { attachment.connection.isInputPaused = false }
  }

  private func endIfDone() {
    guard !hasEnded, pumps.allSatisfy({ $0.hasEnded }) else { return }
    hasEnded = true
    onEnd()
  }
}

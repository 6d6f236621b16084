import Container
import Errors
import Glibc
import Linux
import RuntimeSpec
import SandboxProtocol

extension Shim {
  /// Handles one frame; whatever goes wrong is the answer.
  func receive(_ frame: Frame, from connection: Connection) {
    do throws(ApusError) {
      switch frame.kind {
      case .stdin, .closeStdin: input(frame, from: connection)
      case .create: try create(frame, from: connection)
      case .prepare:
        connection.send(Frame(.ok, tag: frame.tag, ProcessStarted(pid: prepare(try frame.message()))))
      case .start: try start(frame.payload, from: connection, tag: frame.tag)
      case .attach: try attach(try frame.message(), from: connection, tag: frame.tag)
      case .exec: try exec(try frame.message(), from: connection, tag: frame.tag)
      case .destroy:
        connection.send(Frame(.ok, tag: frame.tag))
        kill()
      default: connection.send(Frame(.ok, tag: frame.tag, payload: try answer(frame, connection)))
      }
    } catch {
      reply(error, to: connection, tag: frame.tag)
    }
  }

  func reply(_ error: ApusError, to connection: Connection, tag: UInt16) {
    let exitStatus = (error.cause as? ExecFailure)?.exitStatus
    connection.send(Frame(.error, tag: tag, ErrorReply(error, exitStatus: exitStatus)))
  }

  /// Requests that are answered at once.
  private func answer(_ frame: Frame, _ connection: Connection) throws(ApusError) -> [UInt8] {
    switch frame.kind {
    case .subscribe:
      connection.isSubscriber = true
      return []
    case .state: return state.json()
    case .resize: try resize(try frame.message())
    case .signal: try signal(try frame.message())
    case .pause: try pause()
    case .resume: try resume()
    case .update: try live().update(try frame.message(LinuxResources.self))
    case .stats: return SandboxStatistics(try live().statistics()).json()
    case .processes: return ProcessList(pids: try live().processes()).json()
    default:
      throw ApusError(
        .unsupported, "the shim of container \(id) does not know requests of kind \(frame.kind.rawValue)")
    }
    return []
  }

  // MARK: Streams

  private func attach(_ request: AttachRequest, from connection: Connection, tag: UInt16) throws(ApusError) {
    guard let streams, phase != .ended else {
      throw ApusError(.conflict, "container \(id) has no streams to attach to")
    }
    guard attachment(connection, tag) == nil else {
      throw ApusError(.conflict, "the connection is attached with tag \(tag) already")
    }
    connection.send(Frame(.ok, tag: tag))
    streams.attach(
      Attachment(connection, tag: tag, stdin: request.stdin, stdout: request.stdout, stderr: request.stderr))
  }

  private func input(_ frame: Frame, from connection: Connection) {
    // What is typed after the end of a process is nobody's error.
    guard let (streams, attachment) = attachment(connection, frame.tag) else { return }
    if frame.kind == .stdin {
      streams.write(frame.payload, from: attachment)
    } else {
      streams.closeInput(from: attachment)
    }
  }

  private func attachment(_ connection: Connection, _ tag: UInt16) -> (StreamHub, Attachment)? {
    for hub in [streams].compactMap({ $0 }) + execs.values.map({ $0.streams }) {
      if let found = hub.attachments.first(where: { $0.connection === connection && $0.tag == tag }) {
        return (hub, found)
      }
    }
    return nil
  }

  private func resize(_ request: ResizeRequest) throws(ApusError) {
    let hub = try request.execID.map { name throws(ApusError) in try session(name).streams } ?? streams
    guard let terminal = hub?.terminal else {
      throw ApusError(.conflict, "the process has no terminal whose size could be set")
    }
    try Terminal.resize(terminal, rows: request.rows, columns: request.columns)
  }

  // MARK: State

  private var state: SandboxState {
    let status: String
    switch phase {
    case .waiting: status = "creating"
    case .created: status = "created"
    case .running: status = isPaused ? "paused" : "running"
    case .ending, .ended: status = "stopped"
    }
    let running = execs.values.filter { $0.exitCode == nil }.sorted { $0.id < $1.id }
    return SandboxState(
      pid: phase == .created || phase == .running ? container?.process ?? 0 : 0, status: status,
      execs: running.map { ExecState(id: $0.id, pid: $0.process) })
  }

  private func live() throws(ApusError) -> Container {
    guard let container, phase == .created || phase == .running else {
      throw ApusError(.conflict, "container \(id) is not running")
    }
    return container
  }

  private func session(_ name: String) throws(ApusError) -> ExecSession {
    guard let exec = execs[name], exec.exitCode == nil else {
      throw ApusError(.notFound, "container \(id) has no process with the exec id \(name)")
    }
    return exec
  }

  private func signal(_ request: SignalRequest) throws(ApusError) {
    let container = try live()
    guard (1...64).contains(request.signal) else {
      throw ApusError(.invalidArgument, "there is no signal \(request.signal)")
    }
    if let name = request.execID {
      // Not reaped yet, so the number cannot belong to anybody else.
      try Processes.send(signal: request.signal, toProcess: try session(name).process)
    } else {
      try container.signal(request.signal, all: request.all)
      // A frozen task does not die of a signal before it is thawed.
      if request.signal == SIGKILL, isPaused { try resume() }
    }
  }

  private func pause() throws(ApusError) {
    guard phase == .running, !isPaused else {
      throw ApusError(.conflict, "container \(id) is \(isPaused ? "already paused" : "not running")")
    }
    try live().pause()
    isPaused = true
  }

  private func resume() throws(ApusError) {
    guard phase == .running, isPaused else { throw ApusError(.conflict, "container \(id) is not paused") }
    try live().resume()
    isPaused = false
  }
}

extension SandboxStatistics {
  init(_ source: CgroupStatistics) {
    func operations(_ counters: [(CgroupStatistics.DeviceUsage) -> (String, UInt64)]) -> [BlockIO] {
      source.devices.flatMap { device in
        counters.map { counter in
          let (operation, value) = counter(device)
          return BlockIO(major: device.major, minor: device.minor, operation: operation, value: value)
        }
      }
    }
    self.init(
      cpuTotal: source.processorTime, cpuUser: source.userTime, cpuKernel: source.systemTime,
      perCPU: source.timeByProcessor, throttledPeriods: source.throttlingPeriods,
      throttledCount: source.throttledPeriods, throttledTime: source.throttledTime, memoryUsage: source.memory,
      memoryMaximum: source.maximumMemory, memoryLimit: source.memoryLimit, memoryFailures: source.memoryFailures,
      memoryDetails: source.memoryDetails, pids: source.processes,
      pidsLimit: source.processLimit == .max ? 0 : source.processLimit,
      blockBytes: operations([{ ("Read", $0.readBytes) }, { ("Write", $0.writeBytes) }]),
      blockOperations: operations([{ ("Read", $0.readOperations) }, { ("Write", $0.writeOperations) }]))
  }
}

import Container
import Errors
import Glibc
import Linux
import RuntimeSpec
import SandboxProtocol

import struct Container.RootFilesystem

extension Shim {
  /// Makes what does not depend on the request that is still to come. Whatever fails here is tried again with it.
  ///
  /// - Returns: the process that has been made, 0 where there is none.
  func prepare(_ request: CreateRequest) -> pid_t {
    guard phase == .waiting, preparation == nil, request.id == id else { return 0 }
    preparation = try? ContainerPreparation(
      ContainerConfiguration(request, streams: .terminal(rows: 0, columns: 0))
    ) { (bytes, descriptors) throws(ApusError) in
      let request = try CreateRequest(json: bytes, subject: "The request")
      let size = request.terminalSize
      guard size != nil || descriptors.count == 3 else {
        throw ApusError(.internal, "a container's streams are missing")
      }
      return ContainerConfiguration(
        request,
        streams: size.map { .terminal(rows: $0.rows, columns: $0.columns) }
          ?? .descriptors(input: descriptors[0], output: descriptors[1], error: descriptors[2]))
    }
    return preparation?.process ?? 0
  }

  /// Makes the container up to the point just before its program.
  func create(_ frame: Frame, from connection: Connection) throws(ApusError) {
    guard phase == .waiting else { throw ApusError(.conflict, "container \(id) exists already") }
    let tag = frame.tag
    do throws(ApusError) {
      try make(try frame.message(), encoded: frame.payload)
    } catch {
      // Nothing exists, so nothing is recorded: the answer is all there is.
      listener?.close()
      listener = nil
      reply(error, to: connection, tag: tag)
      return leave()
    }
    phase = .created
    connection.send(Frame(.ok, tag: tag, ProcessStarted(pid: container?.process ?? 0)))
    streams?.start()
  }

  private func make(_ request: CreateRequest, encoded: [UInt8]) throws(ApusError) {
    guard request.id == id else {
      throw ApusError(.invalidArgument, "the shim of container \(id) was asked to create container \(request.id)")
    }
    exitPath = request.exitPath
    let ends = try StreamEnds(
      terminal: request.terminalSize, input: request.openStdin, output: true, error: true)
    let configuration = ContainerConfiguration(request, streams: ends.theirs)
    let ahead = try preparation?.complete(
      configuration, request: encoded, descriptors: ends.descriptors
    ) { () throws(ApusError) in try openFiles(request) }
    preparation = nil
    let container: Container
    if let ahead {
      container = ahead
    } else {
      try openFiles(request)
      container = try Container.create(configuration)
    }
    self.container = container
    ownsProcesses = request.spec.linux?.namespaces.contains { $0.type == "pid" && $0.path.isEmpty } ?? false
    streams = try ends.hub(
      terminal: container.takeTerminal(), input: request.openStdin, closesInput: request.stdinOnce, log: log,
      loop: loop)
  }

  /// The log, and where daemons that come later find this shim.
  private func openFiles(_ request: CreateRequest) throws(ApusError) {
    log = try request.log.map { target throws(ApusError) in try JSONLog(target) }
    listener = try Listener(path: request.socketPath, loop: loop)
    listener?.onConnection = { [unowned self] in accept($0) }
  }

  /// Executes the program, unless the caller means another process than the container came to have.
  func start(_ request: [UInt8], from connection: Connection, tag: UInt16) throws(ApusError) {
    guard phase == .created, let container else {
      throw ApusError(.conflict, "container \(id) is not waiting to be started")
    }
    if !request.isEmpty, try ProcessStarted(json: request, subject: "The request").pid != container.process {
      throw ApusError(.conflict, "container \(id) has another first process than was expected")
    }
    do throws(ApusError) {
      try container.start()
    } catch {
      reply(error, to: connection, tag: tag)
      failure = error.message
      return beginEnd((error.cause as? ExecFailure)?.exitStatus ?? 128)
    }
    phase = .running
    // Who waits for the start does not wait for this: what is killed before is found when it ends.
    connection.send(Frame(.ok, tag: tag))
    watchOOM()
  }
}

extension CreateRequest {
  /// nil where the program gets no terminal.
  var terminalSize: (rows: UInt16, columns: UInt16)? {
    guard let process = spec.process, process.terminal else { return nil }
    return apus_runtime.terminalSize(rows, columns, process.consoleSize)
  }
}

extension ContainerConfiguration {
  init(_ request: CreateRequest, streams: ProcessStreams) {
    self.init(
      id: request.id, spec: request.spec,
      root: request.root.map {
        RootFilesystem(lower: $0.lower, upper: $0.upper, work: $0.work, isTemporary: $0.isTemporary)
      },
      user: request.user, additionalGroups: request.additionalGroups,
      createWorkingDirectory: request.createWorkingDirectory, useInit: request.useInit, streams: streams,
      seccompCacheDirectory: request.seccompCacheDirectory, endsWithCaller: true)
    seccompDocument = request.seccompDocument
  }
}

/// What the request says, or else the specification.
func terminalSize(_ rows: UInt16, _ columns: UInt16, _ size: ConsoleSize?) -> (rows: UInt16, columns: UInt16) {
  (rows != 0 ? rows : UInt16(clamping: size?.height ?? 0), columns != 0 ? columns : UInt16(clamping: size?.width ?? 0))
}

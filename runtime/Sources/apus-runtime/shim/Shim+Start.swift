import Container
import Errors
import Glibc
import Linux
import RuntimeSpec
import SandboxProtocol

import struct Container.RootFilesystem

extension Shim {
  /// Makes the container up to the point just before its program.
  func create(_ request: CreateRequest, from connection: Connection, tag: UInt16) throws(ApusError) {
    guard phase == .waiting else { throw ApusError(.conflict, "container \(id) exists already") }
    do throws(ApusError) {
      try make(request)
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

  private func make(_ request: CreateRequest) throws(ApusError) {
    guard request.id == id else {
      throw ApusError(.invalidArgument, "the shim of container \(id) was asked to create container \(request.id)")
    }
    exitPath = request.exitPath
    log = try request.log.map { target throws(ApusError) in try JSONLog(target) }
    listener = try Listener(path: request.socketPath, loop: loop)
    listener?.onConnection = { [unowned self] in accept($0) }
    let process = request.spec.process
    let ends = try StreamEnds(
      terminal: process?.terminal == true
        ? terminalSize(request.rows, request.columns, process?.consoleSize) : nil,
      input: request.openStdin, output: true, error: true)
    let container = try Container.create(
      ContainerConfiguration(
        id: id, spec: request.spec,
        root: request.root.map { RootFilesystem(lower: $0.lower, upper: $0.upper, work: $0.work) },
        user: request.user, additionalGroups: request.additionalGroups,
        createWorkingDirectory: request.createWorkingDirectory, useInit: request.useInit, streams: ends.theirs,
        seccompCacheDirectory: request.seccompCacheDirectory, endsWithCaller: true))
    self.container = container
    ownsProcesses = request.spec.linux?.namespaces.contains { $0.type == "pid" && $0.path.isEmpty } ?? false
    streams = try ends.hub(
      terminal: container.takeTerminal(), input: request.openStdin, closesInput: request.stdinOnce, log: log,
      loop: loop)
  }

  /// Executes the program.
  func start(from connection: Connection, tag: UInt16) throws(ApusError) {
    guard phase == .created, let container else {
      throw ApusError(.conflict, "container \(id) is not waiting to be started")
    }
    do throws(ApusError) {
      try container.start()
    } catch {
      reply(error, to: connection, tag: tag)
      failure = error.message
      return beginEnd((error.cause as? ExecFailure)?.exitStatus ?? 128)
    }
    phase = .running
    watchOOM()
    connection.send(Frame(.ok, tag: tag))
  }
}

/// What the request says, or else the specification.
func terminalSize(_ rows: UInt16, _ columns: UInt16, _ size: ConsoleSize?) -> (rows: UInt16, columns: UInt16) {
  (rows != 0 ? rows : UInt16(clamping: size?.height ?? 0), columns != 0 ? columns : UInt16(clamping: size?.width ?? 0))
}

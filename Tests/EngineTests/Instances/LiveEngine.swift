import Errors
import Glibc
import ImageSpec
import Linux
import Logging
import NIOCore
import Testing

@testable import Engine

/// An engine on this host with a tiny image, for tests that run real containers. Needs root, a static busybox, and a
/// built `apus-runtime` (named by APUS_RUNTIME, or as `make build` leaves it).
struct LiveEngine {
  static let busybox = "/usr/bin/busybox"
  static let runtime: String? = {
    let source = String(describing: #filePath)
    let package = source.components(before: "/Tests/EngineTests/")
    let candidates =
      [getenv("APUS_RUNTIME").map { String(cString: $0) }].compactMap { $0 } + [
        package + "/build/bin/apus-runtime", package + "/runtime/.build/release/apus-runtime",
      ]
    return candidates.first { Files.exists($0) }
  }()
  static var isPossible: Bool { geteuid() == 0 && Files.exists(busybox) && runtime != nil }

  let directory: String
  let runtimePath: String

  init() throws {
    var template = Array("/tmp/apus-live-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
    }
    directory = try #require(made)
    runtimePath = try #require(Self.runtime)
  }

  func open() async throws -> Engine {
    let engine = try await Engine.open(
      EngineConfiguration(root: directory + "/root", runDirectory: directory + "/run", runtimePath: runtimePath),
      logger: Logger(label: "engine"))
    if try await engine.images.list().isEmpty { try await makeImage(engine) }
    return engine
  }

  /// Removes every instance and everything on disk.
  func close(_ engine: Engine) async throws {
    for record in await engine.instances() { try await engine.instance(record.id).remove(force: true, volumes: true) }
    await engine.shutdown()
    for entry in try Mounts.list() where entry.mountPoint.hasPrefix(directory) {
      try Mounts.unmount(entry.mountPoint, lazily: true)
    }
    try FileTree.remove(directory)
  }

  private func makeImage(_ engine: Engine) async throws {
    let tree = directory + "/image"
    try Files.makeDirectories(tree + "/bin")
    for name in ["etc", "tmp", "proc", "sys", "dev"] { try Files.makeDirectory(tree + "/" + name) }
    try Files.writeAtomically(Files.read(Self.busybox, limit: 16 << 20), to: tree + "/bin/busybox", mode: 0o755)
    for name in ["sh", "true", "sleep", "echo", "cat", "stty", "touch"] {
      try check(symlink("busybox", "\(tree)/bin/\(name)"), "cannot link \(name)")
    }
    let archive = directory + "/image.tar"
    let process = try Spawn.process("/bin/tar", arguments: ["tar", "-cf", archive, "-C", tree, "."])
    #expect(try Processes.wait(for: process)?.code == 0)
    let bytes = try Files.read(archive, limit: 32 << 20)
    let stream = ByteStream { continuation in
      continuation.yield(ByteBuffer(bytes: bytes))
      continuation.finish()
    }
    try await engine.images.importTar(stream, reference: "tiny")
  }

  static func configuration(
    _ command: [String], _ change: (inout InstanceConfiguration) -> Void = { _ in }
  ) -> InstanceConfiguration {
    var configuration = InstanceConfiguration()
    configuration.image = "tiny"
    configuration.network.mode = "none"
    configuration.process.command = command
    change(&configuration)
    return configuration
  }

  static func create(
    _ engine: Engine, _ command: [String], _ change: (inout InstanceConfiguration) -> Void = { _ in }
  ) async throws -> Instance {
    try await engine.instance(engine.create(configuration(command, change), name: nil).id)
  }
}

extension String {
  fileprivate func components(before marker: String) -> String {
    var rest = self[...]
    while !rest.isEmpty, !rest.hasSuffix(marker) { rest.removeLast() }
    return String(rest.dropLast(marker.count))
  }
}

extension StreamSession {
  func text() async throws -> String {
    var text = ""
    while let chunk = try await read() { text += String(buffer: chunk.bytes) }
    return text
  }
}

import Errors
import FoundationEssentials
import GRDB
import Glibc
import ImageSpec
import Layers
import Logging
import NIOCore
import Synchronization
import Testing

@testable import Engine

/// An image service over a directory of its own, gone with the fixture.
final class ImageStore: Sendable {
  let root: String
  let service: ImageService
  let content: ContentStore
  let layers: EROFSLayerStore
  let uses = Mutex<[ImageUse]>([])
  let events = Mutex<[EngineEvent]>([])
  private let pool = BlockingPool(threads: 4)
  private let database: DatabaseQueue

  init(settings: ImageSettings = ImageSettings()) throws {
    root = "/tmp/apus-images-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    guard mkdir(root, 0o700) == 0 else { throw ApusError(.internal, "cannot make \(root)") }
    content = try ContentStore(root: root + "/content")
    layers = try EROFSLayerStore(root: root + "/layers", runDirectory: root + "/run", content: content)
    let box = Box()
    database = try DatabaseQueue()
    service = try ImageService(
      database: database, content: content, layers: layers, blocking: pool,
      uses: { box.owner.withLock { $0?.uses.withLock { $0 } } ?? [] },
      publish: { event in box.owner.withLock { $0?.events.withLock { $0.append(event) } } }, settings: settings,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    box.owner.withLock { $0 = self }
  }

  /// The service of the next daemon, over the same state.
  func reopened() throws -> ImageService {
    try ImageService(
      database: database, content: content, layers: layers, blocking: pool,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  private final class Box: Sendable {
    let owner = Mutex<ImageStore?>(nil)
  }

  /// Blobs and layers in the store, to see what an operation left behind.
  func items() throws -> Set<String> {
    Set(try content.all().map { "blob \($0.short)" } + layers.all().map { "layer \($0.short)" })
  }

  /// Waits for what is collected in the background.
  func settled(_ expected: Set<String>) async throws -> Set<String> {
    for _ in 0..<200 where try items() != expected { try await Task.sleep(for: .milliseconds(10)) }
    return try items()
  }

  func remove() async {
    await pool.shutdown()
    _ = try? Command.run(["rm", "-rf", root])
  }
}

/// Runs `body` with a fresh store, and removes it.
func withImageStore(
  settings: ImageSettings = ImageSettings(), _ body: (ImageStore) async throws -> Void
) async throws {
  let store = try ImageStore(settings: settings)
  do {
    try await body(store)
  } catch {
    await store.remove()
    throw error
  }
  await store.remove()
}

enum Command {
  /// Runs a program to its end. - Throws: with its error output when it fails.
  @discardableResult
  static func run(_ arguments: [String]) throws -> String {
    let child = try ChildProcess(["sh", "-c", "\"$@\" 2>&1", "sh"] + arguments)
    var text = ""
    child.output.lines { text += $0 + "\n" }
    guard try child.wait().code == 0 else { throw ApusError(.internal, "\(arguments): \(text)") }
    return text
  }

  static func exists(_ name: String) -> Bool { BootstrapMachine.program(name) != nil }
}

/// A tar of regular files.
func tar(_ files: [(name: String, text: String)]) -> [UInt8] {
  var bytes: [UInt8] = []
  for file in files {
    bytes += ArchiveHeader.file(file.name, size: Int64(file.text.utf8.count))
    bytes += Array(file.text.utf8) + [UInt8](repeating: 0, count: (512 - file.text.utf8.count % 512) % 512)
  }
  return bytes + ArchiveHeader.end
}

func stream(_ bytes: [UInt8], piece: Int = 1000) -> ByteStream {
  ByteStream { continuation in
    for start in stride(from: 0, to: bytes.count, by: piece) {
      continuation.yield(ByteBuffer(bytes: bytes[start..<min(start + piece, bytes.count)]))
    }
    continuation.finish()
  }
}

func collect(_ stream: ByteStream) async throws -> [UInt8] {
  var bytes: [UInt8] = []
  for try await buffer in stream { bytes += buffer.readableBytesView }
  return bytes
}

@discardableResult
func drain(_ stream: ProgressStream) async throws -> [TransferProgress] {
  var all: [TransferProgress] = []
  for try await progress in stream { all.append(progress) }
  return all
}

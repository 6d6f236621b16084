import Errors
import FoundationEssentials
import ImageSpec
import Layers
import NIOCore

extension ImageService {
  /// Makes an image with one layer of a root file system's tar (`docker import`), compressed by gzip, zstd, bzip2, xz or
  /// not at all.
  /// - Parameters:
  ///   - reference: its name; nil or empty: none.
  ///   - changes: Dockerfile instructions for the configuration.
  ///   - message: the comment of its history.
  /// - Throws: `invalidArgument` for an invalid name, change or archive; nothing stays behind.
  @discardableResult
  public func importTar(
    _ bytes: ByteStream, reference: String? = nil, changes: [String] = [], message: String? = nil,
    platform: String? = nil
  ) async throws -> Image {
    // Everything that can be wrong with the request is found before the first byte is stored.
    let name = try reference.flatMap { $0.isEmpty ? nil : try Reference(parsing: $0).withDefaultTag }
    var config = ImageConfiguration.Config()
    config.env = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    try DockerfileChanges.apply(changes, to: &config)
    let platform = try platform.flatMap { $0.isEmpty ? nil : try Platform(parsing: $0) }

    let hold = holdEverything()
    defer { hold.release() }
    let peeked = try await PeekedStream(bytes)
    let layer: IngestedLayer
    switch ArchiveKind(bytes: peeked.prefix) {
    case .plain: layer = try await importLayer(peeked, compressTo: .gzip)
    case .gzip, .zstd: layer = try await importLayer(peeked, compressTo: nil)
    case .xz: layer = try await importLayer(peeked, through: "xz")
    case .bzip2: layer = try await importLayer(peeked, through: "bzip2")
    }
    do {
      var commit = ImageCommit(layer: layer, reference: name?.canonical)
      commit.config = config
      commit.comment = message.flatMap { $0.isEmpty ? nil : $0 } ?? "Imported from -"
      commit.platform = platform
      let image = try await commitImage(commit)
      event("import", image.id.description, name: name?.familiar ?? image.id.description)
      await releaseFreedMemory()
      return image
    } catch {
      collectLater(layer.items)
      throw error
    }
  }

  private func importLayer<Source: AsyncSequence & Sendable>(
    _ bytes: Source, compressTo: BlobCompression?
  ) async throws -> IngestedLayer where Source.Element == ByteBuffer {
    let ingest = try await blocking.run { [layers, settings] in
      try LayerIngest(store: layers, keepBlob: true, compressTo: compressTo, limits: settings.layerLimits)
    }
    return try await self.ingest(bytes, with: ingest)
  }

  /// Through a decompressor of the host, for what is not worth a library of ours.
  private func importLayer(_ bytes: PeekedStream, through program: String) async throws -> IngestedLayer {
    let threads = BlockingPool(threads: 3)
    do {
      let layer = try await importLayer(bytes, through: program, on: threads)
      await threads.shutdown()
      return layer
    } catch {
      await threads.shutdown()
      throw error
    }
  }

  private func importLayer(
    _ bytes: PeekedStream, through program: String, on threads: BlockingPool
  ) async throws -> IngestedLayer {
    guard BootstrapMachine.program(program) != nil else {
      throw ApusError(
        .unsupported,
        "the archive is compressed by \(program), which is not installed here; install it or decompress first")
    }
    let child = try await threads.run { try ChildProcess([program, "-dc"], takesInput: true) }
    guard let input = child.input else { throw ApusError(.internal, "\(program) got no input") }
    return try await withTaskCancellationHandler {
      async let complaint: String = threads.run {
        var text = ""
        child.errors.lines { if text.isEmpty { text = $0 } }
        return text
      }
      async let feeding: Void = {
        defer { input.close() }
        for try await buffer in bytes {
          try await threads.run { try buffer.withUnsafeReadableBytes { try input.write($0) } }
        }
      }()
      do {
        let layer = try await threads.run { [layers, settings] in
          let ingest = try LayerIngest(store: layers, keepBlob: true, compressTo: .gzip, limits: settings.layerLimits)
          let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
          defer { buffer.deallocate() }
          while case let count = try child.output.read(into: buffer), count > 0 {
            try ingest.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
          }
          guard try child.wait().code == 0 else {
            ingest.abort()
            return IngestedLayer?.none
          }
          return try ingest.finish()
        }
        // A program that ended well has read everything; one that did not breaks the pipe.
        if layer != nil { try await feeding } else { try? await feeding }
        try Task.checkCancellation()
        let said = (try? await complaint) ?? ""
        guard let layer else {
          throw ApusError(.invalidArgument, "the archive cannot be decompressed: \(said.prefix(200))")
        }
        return layer
      } catch {
        child.output.close()
        child.end()
        try? await feeding
        _ = try? await complaint
        try? await threads.run { child.reap() }
        throw error
      }
    } onCancel: {
      child.end()
    }
  }
}

/// A stream whose first bytes are known already.
struct PeekedStream: AsyncSequence, Sendable {
  typealias Element = ByteBuffer
  /// At least six bytes, unless there are fewer.
  let prefix: [UInt8]
  private let first: [ByteBuffer]
  private let rest: ByteStream

  init(_ stream: ByteStream) async throws {
    var first: [ByteBuffer] = []
    var prefix: [UInt8] = []
    var iterator = stream.makeAsyncIterator()
    while prefix.count < 6, let buffer = try await iterator.next() {
      prefix += buffer.readableBytesView.prefix(6)
      first.append(buffer)
    }
    self.prefix = Array(prefix.prefix(6))
    self.first = first
    // Iterators of the same stream share its position.
    rest = stream
  }

  func makeAsyncIterator() -> Iterator { Iterator(first: first[...], rest: rest.makeAsyncIterator()) }

  struct Iterator: AsyncIteratorProtocol {
    var first: ArraySlice<ByteBuffer>
    var rest: ByteStream.AsyncIterator

    mutating func next() async throws -> ByteBuffer? {
      if let buffer = first.popFirst() { return buffer }
      return try await rest.next()
    }
  }
}

import Errors

/// Reads a tar archive of ordinary files as it arrives, decompressed on the way: what `docker save` and OCI layouts
/// are. Nothing is unpacked; names are only names.
///
/// `@unchecked Sendable`: a stream with one user; that user may be on another thread from call to call, never on two.
public final class ArchiveReader: @unchecked Sendable {
  public enum Kind: Sendable, Equatable {
    case file
    /// Symbolic; the target is relative to the directory of the entry.
    case symbolicLink(String)
    /// The target is another entry's name.
    case hardLink(String)
    case other
  }

  public struct Entry: Sendable {
    /// As it is in the archive.
    public var name: String
    public var kind: Kind
    /// Bytes of a file.
    public var size: Int64
  }

  /// Gets the entries in the archive's order: `begin`, for files any number of `data`, `end`.
  public protocol Consumer: AnyObject {
    func begin(_ entry: Entry) throws(ApusError)
    func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError)
    func end() throws(ApusError)
  }

  private let sink: Sink
  private var prefix: [UInt8] = []
  private var isStarted = false
  private var decompressor: (any Decompressor)?
  private var reader: TarReader
  private var expansion: Expansion
  private var size: Int64 = 0

  /// - Parameter limits: of the archive as a whole.
  public init(into consumer: any Consumer, limits: LayerLimits = LayerLimits(totalSize: .max, entries: 200_000)) {
    sink = Sink(consumer)
    reader = TarReader(entryLimit: limits.entries)
    expansion = Expansion(limits)
  }

  /// - Parameter entryLimit: more entries than that are an error.
  public convenience init(into consumer: any Consumer, entryLimit: Int) {
    self.init(into: consumer, limits: LayerLimits(totalSize: .max, entries: entryLimit))
  }

  /// - Throws: `invalidArgument` where the archive is broken, `resourceExhausted` beyond the limits, and whatever the
  ///   consumer throws.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    guard !isStarted else { return try take(bytes) }
    prefix.append(contentsOf: bytes)
    if prefix.count >= Compression.prefixLength { try start() }
  }

  /// - Throws: when the archive ends too early.
  public func finish() throws(ApusError) {
    if !isStarted { try start() }
    try decompressor?.finish()
    try reader.finish()
  }

  private func start() throws(ApusError) {
    isStarted = true
    decompressor = try Compression(prefix: prefix[...]).makeDecompressor()
    let waiting = prefix
    prefix = []
    try waiting.withBytes { (waiting) throws(ApusError) in try take(waiting) }
  }

  private func take(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    expansion.receive(bytes.count)
    guard let decompressor else { return try reader.consume(bytes, into: sink) }
    try decompressor.decompress(bytes) { (piece) throws(ApusError) in
      size += Int64(piece.count)
      try expansion.check(size, "the archive")
      try reader.consume(piece, into: sink)
    }
  }

  private final class Sink: TarSink {
    private let consumer: any Consumer
    /// Holes cost an archive nothing, and whoever reads it everything.
    private static let holeLimit: Int64 = 1 << 30

    init(_ consumer: any Consumer) { self.consumer = consumer }

    func begin(_ entry: TarEntry) throws(ApusError) {
      let target = String(decoding: entry.linkTarget, as: UTF8.self)
      let kind: Kind =
        switch entry.kind {
        case .regular: .file
        case .symbolicLink: .symbolicLink(target)
        case .hardLink: .hardLink(target)
        default: .other
        }
      try consumer.begin(Entry(name: String(decoding: entry.path, as: UTF8.self), kind: kind, size: entry.size))
    }

    func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) { try consumer.data(bytes) }

    /// A sparse file is its zeros, for whoever hashes it.
    func hole(_ count: Int64) throws(ApusError) {
      guard count <= Self.holeLimit else {
        throw ApusError(.resourceExhausted, "the archive has a hole of \(count) bytes: pack it without sparse files")
      }
      let zeros = [UInt8](repeating: 0, count: Int(min(count, 64 << 10)))
      var rest = count
      while rest > 0 {
        let part = Int(min(rest, Int64(zeros.count)))
        try zeros.withBytes { (bytes) throws(ApusError) in
          try consumer.data(UnsafeRawBufferPointer(rebasing: bytes[..<part]))
        }
        rest -= Int64(part)
      }
    }

    func end() throws(ApusError) { try consumer.end() }
  }
}

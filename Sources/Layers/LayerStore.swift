import Errors
import ImageSpec
import Synchronization

/// The layers of one host, by diff ID, and what overlayfs can stack of them.
///
/// A layer gets its name when it is complete and verified, is never changed, and is shared: ``acquire(_:)`` makes it a
/// directory of the host (``EROFSLayerStore`` by mounting a file, ``DirectoryLayerStore`` because it is one), which stays
/// until the last lease is released. ``LayerIngest`` is what fills a store:
///
///     let ingest = try LayerIngest(store: store, expected: descriptor, expectedDiffID: diffID)
///     for piece in download { try ingest.write(piece) }
///     let layer = try ingest.finish()
///     let lease = try store.acquire([base, layer.diffID])
///     // lease.paths is an overlay's lowerdir
///
/// Everything blocks.
public protocol LayerStore: AnyObject, Sendable {
  /// Where the layers' blobs are.
  var content: ContentStore { get }
  var root: String { get }
  /// What an overlay over these layers has to be mounted with.
  var overlayOptions: [String] { get }

  /// The file or directory that a layer is.
  func path(for diffID: Digest) -> String
  /// Bytes that a layer takes; nil when there is no such layer.
  func size(of diffID: Digest) -> Int64?
  func all() throws(ApusError) -> [Digest]
  /// Removing what is not there is fine.
  /// - Throws: `conflict` while the layer is leased.
  func remove(_ diffID: Digest) throws(ApusError)

  /// - Parameter diffIDs: lowest first, as in the image configuration.
  /// - Throws: `notFound` naming a layer that is not in the store; nothing stays leased.
  func acquire(_ diffIDs: [Digest]) throws(ApusError) -> LayerLease
  /// Puts away what nobody has leased for `grace`. Call it now and then, and with `.zero` at the very end.
  func unmountIdle(grace: Duration)

  /// Flushes what has got its name since the last time. Blocks for as long as the disk needs: for the background.
  /// - Throws: when the disk refuses; the next call tries again.
  func synchronize() throws(ApusError)
  /// At daemon start, before anything else: takes over what an earlier daemon left, removes what it left half-done, and
  /// layers that were not flushed before a power cut. Those are made again from their blobs.
  /// - Returns: the layers that had to go.
  @discardableResult
  func recover() throws(ApusError) -> [Digest]

  /// A new layer, for ``LayerIngest``.
  func makeWriter() throws(ApusError) -> LayerWriter
}

extension LayerStore {
  public func contains(_ diffID: Digest) -> Bool { size(of: diffID) != nil }
  public func unmountIdle() { unmountIdle(grace: .seconds(10)) }
  public var overlayOptions: [String] { [] }
}

/// Layers as directories, held until released (or dropped).
public final class LayerLease: Sendable {
  /// Top first: overlayfs's `lowerdir` order. Layers that one above hides as a whole are left out.
  public let paths: [String]
  private let giveBack: Mutex<(@Sendable () -> Void)?>

  init(paths: [String], release: @escaping @Sendable () -> Void) {
    self.paths = paths
    giveBack = Mutex(release)
  }

  deinit { release() }

  /// More than once is fine.
  public func release() {
    let body = giveBack.withLock { body in
      defer { body = nil }
      return body
    }
    body?()
  }
}

/// A layer on its way into a store.
///
/// One class for all stores, so that the reader of archives is compiled for it and only entries, not bytes, pay for
/// there being several.
public final class LayerWriter {
  private let sink: any LayerSink
  private var done = false

  init(_ sink: any LayerSink) { self.sink = sink }

  deinit { abort() }

  /// Bytes written so far.
  var written: Int64 { sink.written }

  /// Gives the layer its name, unless it is there already.
  /// - Returns: the bytes it takes.
  func finish(_ diffID: Digest) throws(ApusError) -> Int64 {
    let size = try sink.finish(diffID)
    done = true
    return size
  }

  func abort() {
    if !done { sink.abort() }
    done = true
  }
}

extension LayerWriter: TarSink {
  func begin(_ entry: TarEntry) throws(ApusError) { try sink.begin(entry) }
  func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) { try sink.data(bytes) }
  func hole(_ count: Int64) throws(ApusError) { try sink.hole(count) }
  func end() throws(ApusError) { try sink.end() }
}

/// What a store makes of a layer's entries.
protocol LayerSink: TarSink {
  /// Bytes on the way to the disk so far: holes do not count.
  var written: Int64 { get }
  func finish(_ diffID: Digest) throws(ApusError) -> Int64
  /// Leaves nothing behind.
  func abort()
}

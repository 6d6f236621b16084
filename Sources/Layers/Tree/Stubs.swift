import Errors
import Linux

private let missing = ApusError(.unsupported, "file operations are not available yet")

extension Tree {
  /// What `path` names. - Throws: `notFound`.
  public static func stat(root: Int32, path: String) throws(ApusError) -> Status { throw missing }

  /// st_mode as Go's os.FileMode, the form Docker's API has.
  public static func goMode(_ mode: UInt32) -> UInt32 { 0 }

  /// `path` as a tar stream with Docker's cp semantics: entry names begin with the last component of `path`.
  public static func archive(root: Int32, path: String) throws(ApusError) -> TreeArchive { throw missing }

  /// Unpacks a tar stream into the existing directory `path`.
  public static func extract(
    root: Int32, path: String, options: ExtractOptions = ExtractOptions()
  ) throws(ApusError) -> TreeExtractor { throw missing }

  /// What the upper directory of an overlay changes of its lower ones (top first), sorted by path.
  public static func changes(
    upper: Int32, lowers: [Int32], cancelled: Cancellation = { false }
  ) throws(ApusError) -> [Change] { throw missing }

  /// The upper directory of an overlay as an OCI layer: its whiteouts become `.wh.` entries.
  public static func layerTar(upper: Int32) throws(ApusError) -> TreeArchive { throw missing }

  /// The whole tree, without what is mounted on it.
  public static func export(root: Int32) throws(ApusError) -> TreeArchive { throw missing }

  /// Copies what is in the directory `path` into an open directory, with owners, modes, times, links, devices and
  /// attributes. False when there is no directory `path`.
  @discardableResult
  public static func copyContents(
    from root: Int32, path: String, to directory: Int32, cancelled: Cancellation = { false }
  ) throws(ApusError) -> Bool { throw missing }

  public static func diskUsage(_ directory: Int32, cancelled: Cancellation = { false }) throws(ApusError) -> Usage {
    throw missing
  }

  /// Removes `name` and everything in it; not being there is fine. Does not follow links nor enter other mounts.
  public static func removeAll(parent: Int32, name: String) throws(ApusError) { throw missing }
}

/// A tar stream to be pulled. Dropping it half-way is fine.
///
/// `@unchecked Sendable`: a stream with one user; that user may be on another thread from call to call, never on two.
public final class TreeArchive: @unchecked Sendable {
  init() {}
  /// Up to `maximum` next bytes; nil at the end.
  public func read(maximum: Int = 256 << 10) throws(ApusError) -> [UInt8]? { nil }
}

/// A tar stream being unpacked.
///
/// `@unchecked Sendable`: a stream with one user; that user may be on another thread from call to call, never on two.
public final class TreeExtractor: @unchecked Sendable {
  init() {}
  public func write(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {}
  /// - Throws: when the stream ended too early. Call it once.
  public func finish() throws(ApusError) {}
}

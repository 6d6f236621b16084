import Errors
import Glibc
import ImageSpec
import Linux

/// An EROFS file on its way into its store.
final class EROFSLayerFile: LayerSink {
  private let converter: LayerConverter
  private let store: EROFSLayerStore
  private let temporary: String

  init(_ store: EROFSLayerStore) throws(ApusError) {
    self.store = store
    temporary = TemporaryName.next(in: store.ingestDirectory)
    converter = try LayerConverter(
      try Files.open(temporary, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600), name: "a layer")
  }

  var written: Int64 { converter.written }

  func begin(_ entry: TarEntry) throws(ApusError) { try converter.begin(entry) }
  func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) { try converter.data(bytes) }
  func hole(_ count: Int64) throws(ApusError) { try converter.hole(count) }
  func end() throws(ApusError) { try converter.end() }

  func finish(_ diffID: Digest) throws(ApusError) -> Int64 {
    let uuid = stride(from: 0, to: 32, by: 2).map { offset in
      let start = diffID.hex.utf8.index(diffID.hex.startIndex, offsetBy: offset)
      return UInt8(diffID.hex[start...].prefix(2), radix: 16) ?? 0
    }
    let size = try converter.finish(uuid: uuid)
    // Somebody else may have been faster; a layer that may be mounted already is not exchanged.
    if store.contains(diffID) {
      abort()
    } else {
      try store.marks.name(diffID, from: temporary, to: store.path(for: diffID))
    }
    return size
  }

  func abort() { _ = unlink(temporary) }
}

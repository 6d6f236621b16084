import Errors
import ImageSpec
import Layers

/// The files of an image archive, while it streams by: small ones in memory, the others as blobs of the content store.
/// What they are is known only at the end: the file that says it may come last.
///
/// `@unchecked Sendable`: a stream with one user; that user may be on another thread from call to call, never on two.
final class ArchiveSpool: ArchiveReader.Consumer, @unchecked Sendable {
  enum File: Sendable {
    case memory([UInt8])
    case blob(Digest, size: Int64)
  }

  private let content: ContentStore
  private var files: [String: File] = [:]
  private var links: [String: String] = [:]
  /// Every blob that was written, for who has to clean up.
  private(set) var blobs: Set<Digest> = []

  private var name = ""
  private var small: [UInt8]?
  private var writer: BlobWriter?
  private var memory = 0

  private static let smallFile: Int64 = 256 << 10
  /// Bytes of small files in all; the rest goes to the store like the big ones.
  private static let memoryLimit = 16 << 20

  init(content: ContentStore) { self.content = content }

  // MARK: Filling

  func begin(_ entry: ArchiveReader.Entry) throws(ApusError) {
    name = Self.normalized(entry.name)
    guard name.utf8.count <= 4096 else {
      throw ApusError(.invalidArgument, "the archive has a name of more than 4096 bytes")
    }
    switch entry.kind {
    case .file:
      if entry.size <= Self.smallFile, memory + Int(entry.size) <= Self.memoryLimit {
        small = []
      } else {
        writer = try BlobWriter(store: content, algorithm: name.hasPrefix("blobs/sha512/") ? .sha512 : .sha256)
      }
    case .symbolicLink(let target):
      let directory = name.lastIndex(of: "/").map { String(name[..<$0]) } ?? ""
      links[name] = Self.normalized(target.hasPrefix("/") ? target : "\(directory)/\(target)")
    case .hardLink(let target):
      links[name] = Self.normalized(target)
    case .other:
      break
    }
  }

  func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    small?.append(contentsOf: bytes)
    try writer?.write(bytes)
  }

  func end() throws(ApusError) {
    if let bytes = small {
      memory += bytes.count
      files[name] = .memory(bytes)
    } else if let writer {
      let blob = try writer.commit()
      blobs.insert(blob.digest)
      files[name] = .blob(blob.digest, size: blob.size)
    }
    small = nil
    writer = nil
  }

  /// Without `.`, `..` and empty parts: two spellings of one name are one.
  static func normalized(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return parts.joined(separator: "/")
  }

  // MARK: Reading

  func file(_ name: String) -> File? {
    var name = Self.normalized(name)
    // A link may lead to a link; a circle leads nowhere.
    for _ in 0..<8 {
      if let file = files[name] { return file }
      guard let target = links[name] else { return nil }
      name = target
    }
    return nil
  }

  /// A document of the archive, nil if there is none of that name.
  func document(_ name: String, limit: Int = 8 << 20) throws(ApusError) -> [UInt8]? {
    switch file(name) {
    case nil: return nil
    case .memory(let bytes): return bytes
    case .blob(let digest, let size):
      guard size <= limit else {
        throw ApusError(.invalidArgument, "\(name) in the archive has \(size) bytes, too many")
      }
      return try content.read(digest, limit: limit)
    }
  }

  /// The file as a blob of the store.
  func blob(_ name: String) throws(ApusError) -> (digest: Digest, size: Int64)? {
    switch file(name) {
    case nil: return nil
    case .blob(let digest, let size): return (digest, size)
    case .memory(let bytes):
      let digest = try content.write(bytes)
      blobs.insert(digest)
      return (digest, Int64(bytes.count))
    }
  }

  /// Whether the archive or the store has what a descriptor names.
  func has(_ descriptor: Descriptor) -> Bool {
    file("blobs/\(descriptor.digest.algorithm.rawValue)/\(descriptor.digest.hex)") != nil
      || content.contains(descriptor.digest)
  }

  /// What a descriptor names, from `blobs/…` of the archive or from the store, verified.
  func blob(_ descriptor: Descriptor) throws(ApusError) {
    let name = "blobs/\(descriptor.digest.algorithm.rawValue)/\(descriptor.digest.hex)"
    if case .memory(let bytes) = file(name) {
      let writer = try BlobWriter(store: content, algorithm: descriptor.digest.algorithm)
      try Self.write(bytes, to: writer)
      try writer.commit(expected: descriptor.digest, size: descriptor.size)
      blobs.insert(descriptor.digest)
      return
    }
    if case .blob(let digest, let size) = file(name), digest != descriptor.digest || size != descriptor.size {
      throw ApusError(.invalidArgument, "\(name) in the archive does not match its digest and size")
    }
    guard let size = content.size(of: descriptor.digest) else {
      throw ApusError(.invalidArgument, "the archive lacks \(name)")
    }
    guard size == descriptor.size else {
      throw ApusError(.invalidArgument, "\(name) has \(size) bytes, its descriptor says \(descriptor.size)")
    }
  }

  /// The small document that a descriptor names, verified.
  func document(_ descriptor: Descriptor, limit: Int = 8 << 20) throws(ApusError) -> [UInt8] {
    guard descriptor.size <= limit else {
      throw ApusError(.invalidArgument, "a document of the archive has \(descriptor.size) bytes, too many")
    }
    try blob(descriptor)
    return try content.read(descriptor.digest, limit: limit)
  }

  private static func write(_ bytes: [UInt8], to writer: BlobWriter) throws(ApusError) {
    var failure: ApusError?
    bytes.withUnsafeBytes { buffer in
      do throws(ApusError) { try writer.write(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}

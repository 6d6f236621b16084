import Errors
import Glibc
import ImageSpec
import Linux
import Testing

@testable import Layers

/// Streams of every kind that is read, as other tools write them.
@Suite struct CompressionTests {
  static let tools: [(name: String, command: String, mediaType: String)] = [
    ("gzip", "gzip -n", MediaType.layerGzip), ("zstd", "zstd -q", MediaType.layerZstd),
    ("bzip2", "bzip2", MediaType.layer + "+bzip2"), ("xz", "xz -T1", MediaType.layer + "+xz"),
  ]

  static let archive = RandomTree(seed: 31, size: 120).archive

  static func compress(_ bytes: [UInt8], _ command: String) throws -> [UInt8] {
    let scratch = try Scratch()
    try Files.writeAtomically(bytes, to: scratch.path + "/in")
    try #require(run("\(command) -c \(scratch.path)/in > \(scratch.path)/out") == 0, "\(command)")
    return try Files.read(scratch.path + "/out", limit: 1 << 28)
  }

  @discardableResult
  private func ingest(
    _ bytes: [UInt8], seed: UInt64 = 1, limits: LayerLimits = LayerLimits(), diffID: Digest? = nil
  ) throws -> IngestedLayer {
    let scratch = try Scratch()
    let store = try scratch.makeStore()
    let ingest = try LayerIngest(store: store, expectedDiffID: diffID, limits: limits)
    try push(bytes, seed: seed) { try ingest.write($0) }
    return try ingest.finish()
  }

  private func fails(_ bytes: [UInt8], _ reason: String, limits: LayerLimits = LayerLimits()) {
    #expect {
      try ingest(bytes, limits: limits)
    } throws: { error in
      let matches = (error as? ApusError)?.message.contains(reason) == true
      if !matches { print(reason, "|", error) }
      return matches
    }
  }

  @Test(arguments: 0..<4)
  func whatToolsWrite(tool: Int) throws {
    let (name, command, mediaType) = Self.tools[tool]
    var hasher = ContentHasher(.sha256)
    Self.archive.withUnsafeBytes { hasher.update($0) }
    let diffID = try hasher.finish()
    let compressed = try Self.compress(Self.archive, command)
    for seed in 0..<4 {
      #expect(try ingest(compressed, seed: UInt64(seed), diffID: diffID).blob?.mediaType == mediaType)
    }
    // Several streams in a row, an empty one among them, are one.
    let half = Self.archive.count / 2
    let parts =
      try Self.compress(Array(Self.archive[..<half]), command) + Self.compress([], command)
      + Self.compress(Array(Self.archive[half...]), command)
    for seed in 0..<4 { try ingest(parts, seed: UInt64(seed), diffID: diffID) }
    // Nothing but an empty archive.
    #expect(try ingest(Self.compress([], command)).entries == 0)
    for cut in [1, 5, 9, compressed.count / 2, compressed.count - 12] {
      fails(Array(compressed.dropLast(cut)), "ends too early")
    }
    fails(compressed + Array("garbage behind it".utf8), "\(name) stream")
    var damaged = compressed
    damaged[damaged.count / 2] ^= 0x10
    #expect(throws: ApusError.self) { try ingest(damaged) }
  }

  @Test func zeroBytesAreAnEmptyLayer() throws {
    #expect(try ingest([]).entries == 0)
    // A stream's first bytes alone.
    fails([0x1f, 0x8b], "ends too early")
    fails([0x28, 0xb5, 0x2f, 0xfd], "ends too early")
  }

  @Test func xzMayBePadded() throws {
    let compressed = try Self.compress(Self.archive, "xz -T1")
    try ingest(compressed + [0, 0, 0, 0])
    fails(compressed + [0, 0, 0], "xz stream")
  }

  @Test(arguments: 0..<4)
  func bombs(tool: Int) throws {
    let (_, command, _) = Self.tools[tool]
    var builder = TarBuilder()
    builder.add(TarEntry(.regular, "zeros"), [UInt8](repeating: 0, count: 24 << 20))
    let bomb = try Self.compress(builder.archive, command)
    fails(bomb, "looks like an attack", limits: LayerLimits(ratio: 100, freeSize: 1 << 20))
    fails(bomb, "larger than the 1000000 bytes", limits: LayerLimits(totalSize: 1_000_000))
    try ingest(bomb)
  }

  /// An archive of a few bytes per fragment, each of which would cost a whole block and the zeros before it.
  @Test func sparseBombs() throws {
    var builder = TarBuilder()
    let count = 4000
    let map = (0..<count).map { "\($0 * 10_000),1" }.joined(separator: ",")
    builder.pax([("GNU.sparse.size", "\(count * 10_000)"), ("GNU.sparse.map", map), ("GNU.sparse.name", "s")])
    builder.add(TarEntry(.regular, "s"), [UInt8](repeating: 1, count: count))
    builder.file("more", String(repeating: "x", count: 300_000))
    fails(builder.archive, "looks like an attack", limits: LayerLimits(ratio: 10, freeSize: 1 << 20))
    try ingest(builder.archive)
  }

  /// Formats that are archives for everybody and more for those who know: what is more is passed over.
  @Test func seekableLayers() throws {
    let half = Self.archive.count / 2
    // estargz: each file a member of its own, the index in an empty one's extra field at the end.
    var footer = try Self.compress([], "gzip -n")
    footer[3] |= 4
    footer.insert(contentsOf: [6, 0, 0x53, 0x47, 2, 0, 0x31, 0x32], at: 10)
    let members = try Self.compress(Array(Self.archive[..<half]), "gzip -n")
    try ingest(members + Self.compress(Array(Self.archive[half...]), "gzip -n") + footer)
    // zstd:chunked: frames per file, the index in skippable frames.
    let skippable: [UInt8] = [0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 1, 2, 3, 4, 5]
    let first = try Self.compress(Array(Self.archive[..<half]), "zstd -q")
    let second = try Self.compress(Array(Self.archive[half...]), "zstd -q")
    for seed in 0..<4 { try ingest(skippable + first + skippable + second + skippable, seed: UInt64(seed)) }
    fails(first + second + skippable.dropLast(2), "ends too early")
  }

  @Test func savedImagesOfEveryKind() throws {
    final class Names: ArchiveReader.Consumer {
      var names: [String] = []
      func begin(_ entry: ArchiveReader.Entry) throws(ApusError) { names.append(entry.name) }
      func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {}
      func end() throws(ApusError) {}
    }
    var builder = TarBuilder()
    builder.file("manifest.json", "[]")
    builder.add(TarEntry(.regular, "zeros"), [UInt8](repeating: 0, count: 8 << 20))
    for tool in Self.tools {
      let compressed = try Self.compress(builder.archive, tool.command)
      let names = Names()
      let reader = ArchiveReader(into: names)
      try push(compressed) { try reader.write($0) }
      try reader.finish()
      #expect(names.names == ["manifest.json", "zeros"])
      #expect(throws: ApusError.self) {
        let reader = ArchiveReader(into: Names(), limits: LayerLimits(ratio: 20, freeSize: 1 << 20))
        try push(compressed) { try reader.write($0) }
        try reader.finish()
      }
    }
  }
}

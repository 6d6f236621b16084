import Errors
import Glibc
import ImageSpec
import Linux
import Testing

@testable import Layers

private func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
  var result: [UInt8] = []
  let compressor = GzipCompressor()
  try push(bytes) { piece in
    try compressor.compress(piece) { (out) throws(ApusError) in result.append(contentsOf: out) }
  }
  try compressor.compress(UnsafeRawBufferPointer(start: nil, count: 0), end: true) { (out) throws(ApusError) in
    result.append(contentsOf: out)
  }
  return result
}

private func digest(_ bytes: [UInt8], _ algorithm: Digest.Algorithm = .sha256) throws -> Digest {
  var hasher = ContentHasher(algorithm)
  bytes.withUnsafeBytes { hasher.update($0) }
  return try hasher.finish()
}

private func descriptor(_ bytes: [UInt8], type: String = MediaType.layerGzip) throws -> Descriptor {
  Descriptor(mediaType: type, digest: try digest(bytes), size: Int64(bytes.count))
}

private let archive = RandomTree(seed: 3, size: 120).archive

/// What is left in a store after a failure.
private func leftovers(_ scratch: Scratch, _ form: StoreForm = .erofs) throws -> Int {
  let layers = form == .erofs ? "layers" : "layers/trees"
  return try ["content/ingest", "content/blobs/sha256", "\(layers)/ingest", "\(layers)/sha256"].reduce(0) {
    (count, name) in
    let directory = try scratch.open(name)
    return count + (try TreeStep.list(directory.raw)).count
  }
}

@Suite struct LayerIngestTests {
  @Test(arguments: isRoot ? StoreForm.allCases : [.erofs])
  func gzipAndPlainGiveTheSameLayer(form: StoreForm) throws {
    let scratch = try Scratch()
    let store = try scratch.makeStore(form)
    let archive = RandomTree(seed: 3, size: 120, attributeLimit: 60).archive
    let compressed = try gzip(archive)
    let diffID = try digest(archive)
    let ingest = try LayerIngest(store: store, expected: try descriptor(compressed), expectedDiffID: diffID)
    try push(compressed) { try ingest.write($0) }
    let result = try ingest.finish()
    #expect(result.diffID == diffID)
    #expect(result.tarSize == Int64(archive.count))
    #expect(result.blob == (try descriptor(compressed)))
    #expect(store.size(of: diffID) == result.imageSize)
    #expect(try store.content.read(digest(compressed)) == compressed)
    #expect(try store.all() == [diffID])
    // Again, while it is there already; and as it is.
    let again = try LayerIngest(store: store, expected: try descriptor(archive, type: ""), expectedDiffID: diffID)
    try push(archive) { try again.write($0) }
    let second = try again.finish()
    #expect(second.diffID == diffID && second.imageSize == result.imageSize && second.entries == result.entries)
    #expect(second.blob?.digest == diffID && second.blob?.mediaType == MediaType.layer)
    try store.remove(diffID)
    #expect(!store.contains(diffID))
  }

  @Test func severalMembersAreOneStream() throws {
    let scratch = try Scratch()
    let store = try scratch.makeStore()
    let half = archive.count / 2
    let compressed = try gzip(Array(archive[..<half])) + gzip(Array(archive[half...])) + gzip([])
    for seed in 0..<10 {
      let ingest = try LayerIngest(store: store, expectedDiffID: try digest(archive), keepBlob: false)
      try push(compressed, seed: UInt64(seed)) { try ingest.write($0) }
      #expect(try ingest.finish().blob == nil)
    }
  }

  @Test func zstd() throws {
    let scratch = try Scratch()
    let store = try scratch.makeStore()
    try Files.writeAtomically(archive, to: scratch.path + "/a.tar")
    try #require(run("zstd -q \(scratch.path)/a.tar") == 0)
    let compressed = try Files.read(scratch.path + "/a.tar.zst", limit: 1 << 24)
    for bytes in [compressed, [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2] + compressed] {
      let ingest = try LayerIngest(store: store, expectedDiffID: try digest(archive))
      try push(bytes) { try ingest.write($0) }
      #expect(try ingest.finish().blob?.mediaType == MediaType.layerZstd)
    }
    let cut = try LayerIngest(store: store)
    try push(Array(compressed.dropLast(9))) { try cut.write($0) }
    #expect(throws: ApusError.self) { try cut.finish() }
  }

  /// As it is, or compressed as layers are not.
  @Test(arguments: [nil, "bzip2", "xz -T1"]) func madeHere(program: String?) throws {
    let scratch = try Scratch()
    let store = try scratch.makeStore()
    let ingest = try LayerIngest(store: store, compressTo: .gzip)
    try push(try program.map { try CompressionTests.compress(archive, $0) } ?? archive) { try ingest.write($0) }
    let result = try ingest.finish()
    #expect(result.diffID == (try digest(archive)))
    let blob = try #require(result.blob)
    #expect(blob.mediaType == MediaType.layerGzip)
    let bytes = try store.content.read(blob.digest)
    #expect(try digest(bytes) == blob.digest && bytes.count == Int(blob.size) && bytes.count < archive.count)
    #expect(run("gzip -t < \(store.content.path(for: blob.digest))") == 0)
    let back = try LayerIngest(store: store, expected: blob, expectedDiffID: result.diffID)
    try push(bytes) { try back.write($0) }
    #expect(try back.finish().diffID == result.diffID)
  }

  @Test(arguments: isRoot ? StoreForm.allCases : [.erofs])
  func digestsMustMatch(form: StoreForm) throws {
    let archive = RandomTree(seed: 3, size: 60, attributeLimit: 60).archive
    let compressed = try gzip(archive)
    let other = try digest([1, 2, 3])
    var wrongDigest = try descriptor(compressed)
    wrongDigest.digest = other
    var tooLong = try descriptor(compressed)
    tooLong.size += 1
    var tooShort = try descriptor(compressed)
    tooShort.size -= 1
    var damaged = compressed
    damaged[damaged.count / 2] ^= 0x10
    let cases: [([UInt8], Descriptor?, Digest?, String)] = [
      (compressed, wrongDigest, nil, "expected \(other)"), (compressed, tooLong, nil, "expected \(tooLong.size)"),
      (compressed, tooShort, nil, "longer than"), (compressed, nil, other, "the image says \(other)"),
      (damaged, nil, nil, "damaged"), (Array(compressed.dropLast(5)), nil, nil, "ends too early"),
      (compressed + [1, 2, 3, 4], nil, nil, "gzip stream"), (compressed + [0], nil, nil, "gzip stream"),
      (Array(archive.dropLast(2000)), nil, nil, "broken tar archive"),
      (Array("BZh91AY&SY".utf8), nil, nil, "bzip2 stream ends too early"),
    ]
    for (bytes, expected, diffID, reason) in cases {
      let scratch = try Scratch()
      let store = try scratch.makeStore(form)
      #expect {
        let ingest = try LayerIngest(store: store, expected: expected, expectedDiffID: diffID)
        try push(bytes) { try ingest.write($0) }
        _ = try ingest.finish()
      } throws: { error in
        let matches = (error as? ApusError)?.message.contains(reason) == true
        if !matches { print(reason, error) }
        return matches
      }
      #expect(try leftovers(scratch, form) == 0, "\(reason)")
    }
    let scratch = try Scratch()
    let store = try scratch.makeStore()
    #expect(throws: ApusError.self) { try LayerIngest(store: store, mediaType: "application/vnd.wasm") }
  }

  @Test(arguments: isRoot ? StoreForm.allCases : [.erofs])
  func droppedHalfWay(form: StoreForm) throws {
    let scratch = try Scratch()
    let store = try scratch.makeStore(form)
    do {
      let ingest = try LayerIngest(store: store)
      try archive.withUnsafeBytes { try ingest.write(UnsafeRawBufferPointer(rebasing: $0[..<20_000])) }
      #expect(try leftovers(scratch, form) == 2)
    }
    #expect(try leftovers(scratch, form) == 0)
    // What a daemon that died has left goes at the next start.
    try Files.writeAtomically([1], to: scratch.path + "/layers/\(form == .erofs ? "" : "trees/")ingest/1.2.tmp")
    try Files.writeAtomically([1], to: scratch.path + "/content/ingest/1.2.tmp")
    try store.recover()
    try store.content.recover()
    #expect(try leftovers(scratch, form) == 0)
  }

  @Test func blobs() throws {
    let scratch = try Scratch()
    let content = try scratch.makeStore().content
    let digest = try content.write(Array("hello".utf8))
    #expect(digest.hex == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
    #expect(content.size(of: digest) == 5)
    #expect(try content.all() == [digest])
    #expect(throws: ApusError.self) { try content.read(digest, limit: 4) }
    let writer = try BlobWriter(store: content, algorithm: .sha512)
    try Array("hello".utf8).withUnsafeBytes { try writer.write($0) }
    let long = try writer.commit()
    #expect(long.digest.algorithm == .sha512 && content.contains(long.digest))
    try content.remove(digest)
    try content.remove(digest)
    #expect(throws: ApusError.self) { try content.read(digest) }
  }
}

@Suite(.serialized) struct LayerStoreTests {
  private func store(
    _ scratch: Scratch, _ contents: [String], _ form: StoreForm
  ) throws -> (any LayerStore, [Digest]) {
    let store = try scratch.makeStore(form)
    var layers: [Digest] = []
    for content in contents {
      var builder = TarBuilder()
      builder.file("name", content)
      let ingest = try LayerIngest(store: store, keepBlob: false)
      try push(builder.archive) { try ingest.write($0) }
      layers.append(try ingest.finish().diffID)
    }
    return (store, layers)
  }

  /// Directories need no mount.
  private func hasMounts(_ count: Int, _ scratch: Scratch, _ form: StoreForm) throws -> Bool {
    let found = try Mounts.list().count { $0.mountPoint.hasPrefix(scratch.path + "/") }
    return found == (form == .erofs ? count : 0)
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: StoreForm.allCases)
  func mountedOnceAndShared(form: StoreForm) throws {
    let scratch = try Scratch()
    let (store, layers) = try store(scratch, ["one", "two"], form)
    let first = try store.acquire(layers)
    let second = try store.acquire([layers[0]])
    #expect(try hasMounts(2, scratch, form))
    // Top first.
    #expect(try Files.read(first.paths[0] + "/name") == Array("two".utf8))
    #expect(try Files.read(first.paths[1] + "/name") == Array("one".utf8))
    #expect(second.paths == [first.paths[1]])
    #expect(throws: ApusError.self) { try store.remove(layers[0]) }
    first.release()
    first.release()
    store.unmountIdle(grace: .seconds(10))
    #expect(try hasMounts(2, scratch, form))
    store.unmountIdle(grace: .zero)
    #expect(try hasMounts(1, scratch, form))
    second.release()
    // A mounted but idle layer can go.
    try store.remove(layers[0])
    #expect(try hasMounts(0, scratch, form))
    #expect(throws: ApusError.self) { try store.acquire(layers.reversed()) }
    store.unmountIdle(grace: .zero)
    #expect(try hasMounts(0, scratch, form))
    try store.remove(layers[1])
    #expect(try store.all().isEmpty)
    let left = try scratch.open("run/l")
    #expect(try TreeStep.list(left.raw).isEmpty)
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: StoreForm.allCases)
  func theNextDaemonAdoptsMounts(form: StoreForm) throws {
    let scratch = try Scratch()
    let (store, layers) = try store(scratch, ["one", "two"], form)
    let lease = try store.acquire(layers)
    let next = try scratch.makeStore(form)
    try next.recover()
    let adopted = try next.acquire(layers)
    #expect(adopted.paths == lease.paths)
    #expect(try hasMounts(2, scratch, form))
    adopted.release()
    next.unmountIdle(grace: .zero)
    #expect(try hasMounts(0, scratch, form))
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: StoreForm.allCases)
  func overlaysSeeThroughLayers(form: StoreForm) throws {
    let scratch = try Scratch()
    let store = try scratch.makeStore(form)
    var layers: [Digest] = []
    var builders = [TarBuilder(), TarBuilder()]
    builders[0].file("d/a", "a0")
    builders[0].file("d/b", "b0")
    builders[0].file("e/x", "x0")
    builders[0].file("gone", "g")
    builders[1].file("d/.wh.a")
    builders[1].file("d/b", "b1")
    builders[1].file(".wh.gone")
    builders[1].directory("e")
    builders[1].file("e/.wh..wh..opq")
    builders[1].file("e/y", "y1")
    for builder in builders {
      let ingest = try LayerIngest(store: store, keepBlob: false)
      try push(builder.archive) { try ingest.write($0) }
      layers.append(try ingest.finish().diffID)
    }
    let lease = try store.acquire(layers)
    defer {
      lease.release()
      store.unmountIdle(grace: .zero)
    }
    let overlay = try Mounts.overlay(lower: lease.paths, options: store.overlayOptions)
    func names(_ path: String) throws -> [String] {
      let directory = try Files.open(at: overlay.raw, path: path, flags: O_RDONLY | O_DIRECTORY)
      return try TreeStep.list(directory.raw).map(\.text)
    }
    #expect(try names("/") == ["d", "e"])
    #expect(try names("/d") == ["b"])
    #expect(try names("/e") == ["y"])
    #expect(try Files.read(at: overlay.raw, path: "/d/b") == Array("b1".utf8))
    // A layer may hide all there is below it.
    var last = TarBuilder()
    last.file(".wh..wh..opq")
    last.file("only", "1")
    let ingest = try LayerIngest(store: store, keepBlob: false)
    try push(last.archive) { try ingest.write($0) }
    let hiding = try ingest.finish().diffID
    let hidden = try store.acquire(layers + [hiding])
    defer { hidden.release() }
    #expect(hidden.paths.count == 1)
    let above = try store.acquire(layers + [hiding] + layers)
    defer { above.release() }
    #expect(above.paths.count == 3)
  }
}

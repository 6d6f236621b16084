import Errors
import Glibc
import ImageSpec
import Linux
import Testing

@testable import Layers

/// What a power cut or a killed daemon leaves.
@Suite struct SurvivalTests {
  private let archive = RandomTree(seed: 12, size: 200).archive

  private func content(_ scratch: Scratch, boot: String) throws -> ContentStore {
    try ContentStore(root: scratch.path + "/content", boot: boot)
  }

  private func names(_ scratch: Scratch, _ directory: String) throws -> [String] {
    let opened = try scratch.open(directory)
    return try TreeStep.list(opened.raw).map(\.text)
  }

  private func descriptor(_ bytes: [UInt8]) throws -> Descriptor {
    var hasher = ContentHasher(.sha256)
    bytes.withUnsafeBytes { hasher.update($0) }
    return Descriptor(mediaType: MediaType.layer, digest: try hasher.finish(), size: Int64(bytes.count))
  }

  @Test(arguments: [1, 40])
  func marksGoWithTheFlush(count: Int) throws {
    let scratch = try Scratch()
    let content = try content(scratch, boot: "b1")
    var digests: [Digest] = []
    for index in 0..<count { digests.append(try content.write([UInt8(index)])) }
    #expect(try names(scratch, "content/unsynced/b1").count == count)
    // One that is gone by then leaves no mark either.
    try content.remove(digests[0])
    #expect(try names(scratch, "content/unsynced/b1").count == count - 1)
    try content.synchronize()
    #expect(try names(scratch, "content/unsynced/b1").isEmpty)
    #expect(try content.all().count == count - 1)
    try content.synchronize()
  }

  @Test func damagedBlobsAreDropped() throws {
    let scratch = try Scratch()
    let before = try content(scratch, boot: "b1")
    let flushed = try before.write(Array("flushed".utf8))
    try before.synchronize()
    let whole = try before.write(Array("whole".utf8))
    let empty = try before.write(Array("empty".utf8))
    let wrong = try before.write(Array("wrong".utf8))
    try #require(truncate(before.path(for: empty), 0) == 0)
    let file = try Files.open(before.path(for: wrong), flags: O_WRONLY)
    try Files.write([0], to: file.raw)
    // One whose name did not come through, and something that is no mark.
    let missing = try before.write(Array("missing".utf8))
    try #require(unlink(before.path(for: missing)) == 0)
    try Files.writeAtomically([], to: scratch.path + "/content/unsynced/b1/whatever")
    // The daemon alone stopped: the kernel still has everything.
    #expect(try content(scratch, boot: "b1").recover() == [])
    let after = try content(scratch, boot: "b2")
    #expect(try Set(after.recover()) == [empty, wrong])
    #expect(try Set(after.all()) == [flushed, whole])
    // It is still not flushed.
    #expect(try names(scratch, "content/unsynced/b2") == ["sha256-\(whole.hex)"])
    try after.synchronize()
    #expect(try content(scratch, boot: "b3").recover() == [])
  }

  @Test(arguments: isRoot ? StoreForm.allCases : [.erofs])
  func unflushedLayersAreMadeAgain(form: StoreForm) throws {
    let scratch = try Scratch()
    let archive = RandomTree(seed: 12, size: 200, attributeLimit: 60).archive
    func store(_ boot: String) throws -> any LayerStore { try scratch.makeStore(form, boot: boot) }
    let before = try store("b1")
    let ingest = try LayerIngest(store: before)
    try push(archive) { try ingest.write($0) }
    let layer = try ingest.finish()
    #expect(try store("b1").recover() == [])
    #expect(before.contains(layer.diffID))
    let after = try store("b2")
    #expect(try after.recover() == [layer.diffID])
    #expect(!after.contains(layer.diffID))
    #expect(try after.content.recover() == [])
    let again = try LayerIngest(store: after, expectedDiffID: layer.diffID, keepBlob: false)
    try push(after.content.read(#require(layer.blob).digest, limit: 1 << 26)) { try again.write($0) }
    #expect(try again.finish().imageSize == layer.imageSize)
    try after.synchronize()
    #expect(try store("b3").recover() == [])
    #expect(after.contains(layer.diffID))
  }

  @Test func downloadsAreTakenUpAgain() throws {
    let scratch = try Scratch()
    let store = try scratch.makeStore()
    let expected = try descriptor(archive)
    func ingest() throws -> LayerIngest { try LayerIngest(store: store, expected: expected, resumable: true) }
    var position = 0
    var attempts = 0
    while position < archive.count {
      let attempt = try ingest()
      #expect(try Int(attempt.resume()) == position)
      // Another client cannot have the same one.
      #expect(throws: ApusError.self) { try ingest() }
      let end = min(position + archive.count / 4 + 1, archive.count)
      try push(Array(archive[position..<end]), seed: UInt64(position)) { try attempt.write($0) }
      position = end
      attempts += 1
      if position == archive.count {
        #expect(try attempt.finish().blob?.digest == expected.digest)
      } else {
        attempt.suspend()
        #expect(try store.content.partials().map(\.size) == [Int64(position)])
        #expect(try names(scratch, "layers/ingest").isEmpty)
      }
    }
    #expect(attempts == 4)
    #expect(try store.content.partials() == [])
    #expect(try store.content.read(expected.digest, limit: 1 << 26) == archive)
  }

  @Test func wrongBeginningsAreForgotten() throws {
    let scratch = try Scratch()
    let store = try scratch.makeStore()
    let expected = try descriptor(archive)
    let path = store.content.partialPath(for: expected.digest)
    func ingest() throws -> LayerIngest { try LayerIngest(store: store, expected: expected, resumable: true) }
    // Of another archive: only the end shows it.
    var other = TarBuilder()
    other.file("other", String(repeating: "x", count: 6000))
    try Files.writeAtomically(other.bytes, to: path)
    var attempt = try ingest()
    #expect(try Int(attempt.resume()) == other.bytes.count)
    #expect(throws: ApusError.self) {
      try push(Array(archive[other.bytes.count...])) { try attempt.write($0) }
      _ = try attempt.finish()
    }
    #expect(try store.content.partials() == [])
    // No archive at all.
    try Files.writeAtomically([UInt8](repeating: 7, count: 5000), to: path)
    attempt = try ingest()
    #expect(throws: ApusError.self) { try attempt.resume() }
    #expect(try store.content.partials() == [])
    // Longer than the blob, or hardly begun.
    for bytes in [archive + [0], [1, 2, 3]] {
      try Files.writeAtomically(bytes, to: path)
      attempt = try ingest()
      #expect(try attempt.resume() == 0)
      attempt.abort()
    }
    // A server that does not take ranges sends everything again.
    try Files.writeAtomically(Array(archive[..<5000]), to: path)
    attempt = try ingest()
    try push(archive) { try attempt.write($0) }
    _ = try attempt.finish()
    #expect(try store.content.read(expected.digest, limit: 1 << 26) == archive)
    #expect(try names(scratch, "content/partial").isEmpty)
  }

  @Test func blobsAreResumedAlone() throws {
    let scratch = try Scratch()
    let content = try content(scratch, boot: "b1")
    let expected = try descriptor(archive)
    do {
      let writer = try BlobWriter(store: content, resuming: expected)
      try Array(archive[..<9000]).withUnsafeBytes { try writer.write($0) }
    }
    try content.recover()
    let writer = try BlobWriter(store: content, resuming: expected)
    #expect(writer.resumed == 9000)
    try content.removePartial(expected.digest)
    #expect(try content.partials().count == 1)
    var seen: [UInt8] = []
    try writer.readResumed { (bytes) throws(ApusError) in seen.append(contentsOf: bytes) }
    #expect(seen == Array(archive[..<9000]))
    try Array(archive[9000...]).withUnsafeBytes { try writer.write($0) }
    #expect(try writer.commit().digest == expected.digest)
    let aborted = try BlobWriter(store: content, resuming: expected)
    try archive.withUnsafeBytes { try aborted.write($0) }
    aborted.abort()
    #expect(try content.partials() == [])
    try Files.writeAtomically([1], to: content.partialPath(for: expected.digest))
    try content.removePartial(expected.digest)
    #expect(try content.partials() == [])
  }
}

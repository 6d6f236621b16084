import Errors
import Testing

@testable import Layers

private func only(_ archive: [UInt8]) throws -> TarEntry {
  let entries = try RecordingSink.read(archive)
  #expect(entries.count == 1)
  return try #require(entries.first).entry
}

@Suite struct TarReaderTests {
  @Test func ustarInAnyPieces() throws {
    var builder = TarBuilder()
    builder.directory("d/")
    builder.file("d/a", String(repeating: "x", count: 1000))
    builder.symlink("d/l", "a")
    builder.hardLink("d/h", "d/a")
    builder.file("empty")
    for seed in 0..<20 {
      let entries = try RecordingSink.read(builder.archive, seed: UInt64(seed))
      #expect(entries.map { String(decoding: $0.entry.path, as: UTF8.self) } == ["d/", "d/a", "d/l", "d/h", "empty"])
      #expect(entries.map(\.entry.kind) == [.directory, .regular, .symbolicLink, .hardLink, .regular])
      #expect(entries[1].data.count == 1000)
      #expect(entries[3].entry.linkTarget == Array("d/a".utf8))
    }
  }

  @Test func emptyArchives() throws {
    #expect(try RecordingSink.read([]).isEmpty)
    #expect(try RecordingSink.read([UInt8](repeating: 0, count: 512)).isEmpty)
    #expect(try RecordingSink.read([UInt8](repeating: 0, count: 10240)).isEmpty)
    var builder = TarBuilder()
    builder.file("a", "1")
    #expect(try RecordingSink.read(builder.bytes).count == 1)
    // What comes behind the end is nobody's.
    #expect(try RecordingSink.read(builder.archive + [1, 2, 3]).count == 1)
  }

  @Test func longNames() throws {
    let name = (0..<60).map { "component-\($0)" }.joined(separator: "/")
    let link = name + "/link"
    var builder = TarBuilder()
    builder.gnuLong("L", name)
    builder.gnuLong("K", link)
    builder.symlink("short", "x")
    var entry = try only(builder.archive)
    #expect(entry.path == Array(name.utf8) && entry.linkTarget == Array(link.utf8))
    builder = TarBuilder()
    builder.symlink(name, link)
    entry = try only(builder.archive)
    #expect(entry.path == Array(name.utf8) && entry.linkTarget == Array(link.utf8))
    // ustar's prefix.
    let middle = String(repeating: "p", count: 120) + "/" + String(repeating: "n", count: 90)
    builder = TarBuilder()
    builder.file(middle)
    #expect(builder.bytes.count == 512)
    #expect(try only(builder.archive).path == Array(middle.utf8))
  }

  @Test(arguments: [
    ("-1", Int64(-1), UInt32(0)), ("-0.25", -1, 750_000_000), ("1.5", 1, 500_000_000),
    ("-3.000000001", -4, 999_999_999),
    ("0.1234567899", 0, 123_456_789), ("99999999999", 99_999_999_999, 0), (".5", 0, 500_000_000),
  ])
  func times(text: String, seconds: Int64, nanoseconds: UInt32) throws {
    var builder = TarBuilder()
    builder.pax([("mtime", text)])
    builder.file("a")
    let entry = try only(builder.archive)
    #expect(entry.modifiedSeconds == seconds && entry.modifiedNanoseconds == nanoseconds)
  }

  @Test func writerTellsTimesAndOwners() throws {
    var random = Seeded(4)
    for _ in 0..<200 {
      var entry = TarEntry(.regular, "a")
      entry.modifiedSeconds =
        Int64.random(in: -1 << 40...1 << 40, using: &random) >> Int64.random(in: 0...40, using: &random)
      entry.modifiedNanoseconds = random.chance(50) ? UInt32.random(in: 0..<1_000_000_000, using: &random) : 0
      entry.uid = UInt32.random(in: 0...UInt32.max, using: &random)
      entry.gid = UInt32.random(in: 0...UInt32.max, using: &random)
      entry.attributes = [(Array("user.x".utf8), [0, 1, 0x0a, 0x3d])]
      var builder = TarBuilder()
      builder.add(entry)
      let read = try only(builder.archive)
      #expect(read.modifiedSeconds == entry.modifiedSeconds && read.modifiedNanoseconds == entry.modifiedNanoseconds)
      #expect(read.uid == entry.uid && read.gid == entry.gid)
      #expect(read.attributes.first?.value == [0, 1, 0x0a, 0x3d])
    }
  }

  @Test func baseTwoFiftySix() throws {
    var builder = TarBuilder()
    builder.raw(TarEntry(.directory, "d")) { header in
      for (index, byte) in [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe].enumerated() { header[108 + index] = UInt8(byte) }
      for index in 136..<148 { header[index] = 0xff }
      header[147] = 0xfb
    }
    let entry = try only(builder.archive)
    #expect(entry.uid == 0xffff_fffe)
    #expect(entry.modifiedSeconds == -5)
  }

  @Test func sizesAboveOctal() throws {
    let size: Int64 = 9 << 30
    let header = TarWriter.header(TarEntry(.regular, "big", size: size))
    final class Counter: TarSink {
      var size: Int64 = 0
      var got: Int64 = 0
      func begin(_ entry: TarEntry) throws(ApusError) { size = entry.size }
      func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) { got += Int64(bytes.count) }
      func hole(_ count: Int64) throws(ApusError) {}
      func end() throws(ApusError) {}
    }
    let counter = Counter()
    var reader = TarReader()
    try header.withUnsafeBytes { try reader.consume($0, into: counter) }
    let piece = [UInt8](repeating: 1, count: 1 << 24)
    for _ in 0..<(size >> 24) { try piece.withUnsafeBytes { try reader.consume($0, into: counter) } }
    try TarWriter.end.withUnsafeBytes { try reader.consume($0, into: counter) }
    try reader.finish()
    #expect(counter.size == size && counter.got == size)
  }

  @Test func attributes() throws {
    var builder = TarBuilder()
    builder.pax([
      ("SCHILY.xattr.user.a", "b=c\nd"), ("SCHILY.xattr.security.capability", "\u{1}\u{0}\u{2}"), ("comment", "x"),
    ])
    builder.file("a")
    let entry = try only(builder.archive)
    #expect(entry.attributes.map { String(decoding: $0.name, as: UTF8.self) } == ["user.a", "security.capability"])
    #expect(entry.attributes[0].value == Array("b=c\nd".utf8))
    #expect(entry.attributes[1].value == [1, 0, 2])
  }

  @Test func globalHeadersAreNotApplied() throws {
    var builder = TarBuilder()
    builder.pax([("path", "wrong"), ("comment", "git")], type: "g")
    builder.file("right")
    #expect(try only(builder.archive).path == Array("right".utf8))
  }

  @Test func otherTypesCarryNoData() throws {
    // Old tars wrote sizes into headers of directories and links.
    var builder = TarBuilder()
    builder.raw(TarEntry(.directory, "d/")) { for (i, b) in "00000001000".utf8.enumerated() { $0[124 + i] = b } }
    builder.file("after", "1")
    #expect(try RecordingSink.read(builder.archive).count == 2)
  }

  @Test func sparseFormats() throws {
    let expected =
      [UInt8](repeating: 0, count: 5000) + Array("hello".utf8) + [UInt8](repeating: 0, count: 995) + Array("end".utf8)
      + [UInt8](repeating: 0, count: 97)
    let stored = Array("helloend".utf8)
    var archives: [[UInt8]] = []
    // PAX 0.1 and 0.0.
    var builder = TarBuilder()
    builder.pax([
      ("GNU.sparse.size", "6100"), ("GNU.sparse.numblocks", "2"), ("GNU.sparse.name", "s"),
      ("GNU.sparse.map", "5000,5,6000,3"),
    ])
    builder.add(TarEntry(.regular, "GNUSparseFile.0/s"), stored)
    archives.append(builder.archive)
    builder = TarBuilder()
    builder.pax([
      ("GNU.sparse.size", "6100"), ("GNU.sparse.numblocks", "2"), ("GNU.sparse.offset", "5000"),
      ("GNU.sparse.numbytes", "5"),
      ("GNU.sparse.offset", "6000"), ("GNU.sparse.numbytes", "3"), ("GNU.sparse.name", "s"),
    ])
    builder.add(TarEntry(.regular, "x"), stored)
    archives.append(builder.archive)
    // PAX 1.0: the map in front of the data.
    builder = TarBuilder()
    builder.pax([
      ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "s"), ("GNU.sparse.realsize", "6100"),
    ])
    let map = Array("2\n5000\n5\n6000\n3\n".utf8)
    builder.add(TarEntry(.regular, "x"), map + [UInt8](repeating: 0, count: 512 - map.count) + stored)
    archives.append(builder.archive)
    // Old GNU, with the map in the header and in one block more.
    builder = TarBuilder()
    func octal(_ value: Int, into block: inout [UInt8], at offset: Int) {
      let text = String(value, radix: 8)
      for (index, byte) in (String(repeating: "0", count: 11 - text.count) + text).utf8.enumerated() {
        block[offset + index] = byte
      }
    }
    var header = TarWriter.header(TarEntry(.regular, "s", size: Int64(stored.count)))
    header[156] = UInt8(ascii: "S")
    for (index, byte) in "ustar  \0".utf8.enumerated() { header[257 + index] = byte }
    for (index, value) in [0, 0, 10, 0, 20, 0, 5000, 5].enumerated() {
      octal(value, into: &header, at: 386 + index * 12)
    }
    header[482] = 1
    octal(6100, into: &header, at: 483)
    var more = [UInt8](repeating: 0, count: 512)
    octal(6000, into: &more, at: 0)
    octal(3, into: &more, at: 12)
    builder.bytes = TarBuilder.sealed(header) + more + stored + [UInt8](repeating: 0, count: 504)
    archives.append(builder.archive)
    for archive in archives {
      for seed in 0..<4 {
        let entries = try RecordingSink.read(archive, seed: UInt64(seed))
        #expect(entries.count == 1)
        #expect(entries.first?.entry.path == Array("s".utf8))
        #expect(entries.first?.entry.size == 6100)
        #expect(entries.first?.data == expected)
      }
    }
  }
}

import Errors
import Glibc
import Linux
import Testing

@testable import Layers

@Suite struct BrokenArchiveTests {
  static let corpus: [(String, [UInt8], String)] = {
    var corpus: [(String, [UInt8], String)] = []
    func add(_ name: String, _ reason: String, _ build: (inout TarBuilder) -> Void) {
      var builder = TarBuilder()
      build(&builder)
      corpus.append((name, builder.archive, reason))
    }
    var whole = TarBuilder()
    whole.file("a", String(repeating: "x", count: 3000))
    corpus.append(("cut in data", Array(whole.bytes.prefix(2000)), "ends in the middle"))
    corpus.append(("cut in header", Array(whole.bytes.prefix(300)), "ends in the middle"))
    corpus.append(("cut in padding", Array(whole.bytes.dropLast(10)), "ends in the middle"))
    corpus.append(("text", Array(String(repeating: "no archive at all ", count: 100).utf8), "checksum"))
    var flipped = whole.archive
    flipped[5] ^= 1
    corpus.append(("bit flipped in header", flipped, "does not match"))
    add("size below zero", "below zero") { $0.raw(TarEntry(.regular, "a")) { for i in 124..<136 { $0[i] = 0xff } } }
    add("size out of range", "out of range") {
      $0.pax([("size", "9223372036854775807")])
      $0.file("a")
    }
    add("sparse: too large", "is too large") {
      $0.pax([("GNU.sparse.size", "9223372036854775807"), ("GNU.sparse.map", "0,1")])
      $0.add(TarEntry(.regular, "s"), [1])
    }
    add("size is text", "size is no number") { $0.raw(TarEntry(.regular, "a")) { $0[126] = 0x39 } }
    add("owner too large", "out of range") {
      $0.pax([("uid", "4294967296")]); $0.file("a")
    }
    add("owner below zero", "out of range") {
      $0.pax([("gid", "-1")]); $0.file("a")
    }
    add("unknown type", "unknown type") { $0.raw(TarEntry(.regular, "a")) { $0[156] = 0x7a } }
    add("zero block in between", "zero block") {
      $0.file("a"); $0.bytes += [UInt8](repeating: 0, count: 512); $0.file("b")
    }
    add("long name without entry", "extended header") { $0.gnuLong("L", "x") }
    add("extended header too long", "extended header of") {
      $0.raw(TarEntry(.regular, "x", size: 2 << 20)) { $0[156] = UInt8(ascii: "x") }
    }
    for (name, body) in [
      ("length too long", "99 path=a\n"), ("length zero", "0 path=a\n"), ("no length", "path=a\n"),
      ("no newline", "9 path=aa"),
      ("no keyword", "5 =a\n"), ("no equals", "7 path\n"), ("NUL in path", "10 path=\u{0}\n"),
      ("size is text", "10 size=x\n"),
      ("time is text", "11 mtime=x\n"), ("length overflows", "99999999999999999999 path=a\n"),
    ] {
      add("PAX: \(name)", "PAX header") {
        $0.raw(TarEntry(.regular, "x", size: Int64(body.utf8.count)), Array(body.utf8)) { $0[156] = UInt8(ascii: "x") }
        $0.file("a")
      }
    }
    for (name, map) in [
      ("overlap", "0,5,3,3"), ("out of file", "90,20,200,0"), ("does not match", "0,4"), ("odd", "0,8,9"),
      ("overflow", "9223372036854775807,9223372036854775807"), ("below zero", "-1,8"),
    ] {
      add("sparse: \(name)", "sparse map") {
        $0.pax([("GNU.sparse.size", "100"), ("GNU.sparse.map", map)])
        $0.add(TarEntry(.regular, "s"), Array("12345678".utf8))
      }
    }
    add("sparse: endless map", "sparse map") {
      $0.pax([("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "100")])
      $0.add(TarEntry(.regular, "s"), Array("999999999\n".utf8) + [UInt8](repeating: 0x31, count: 502))
    }
    add("name too long", "255 bytes") { $0.file(String(repeating: "n", count: 256)) }
    add("path too long", "too long") { $0.file(String(repeating: "a/", count: 10_000)) }
    add("link without target", "empty or too long target") { $0.symlink("l", "") }
    add("link with long target", "empty or too long target") { $0.symlink("l", String(repeating: "t", count: 4096)) }
    add("hard link to nothing", "'l' points to 'nowhere'") { $0.hardLink("l", "nowhere") }
    add("hard link to outside", "points to '../../etc/passwd'") { $0.hardLink("l", "../../etc/passwd") }
    add("hard link to itself", "does not have") { $0.hardLink("l", "l") }
    add("hard links in a circle", "does not have") {
      $0.hardLink("a", "b"); $0.hardLink("b", "a")
    }
    add("hard link to a directory", "is a directory") {
      $0.directory("d"); $0.hardLink("l", "d")
    }
    add("hard link to a later directory", "is a directory") {
      $0.hardLink("l", "d"); $0.directory("d")
    }
    add("below a loop of links", "loop of symbolic links") {
      $0.symlink("a", "b"); $0.symlink("b", "a"); $0.file("a/x")
    }
    add("whiteout of nothing", "hides no name") { $0.file(".wh.") }
    add("whiteout of ..", "hides no name") { $0.file(".wh...") }
    add("device number", "number that Linux does not have") {
      var entry = TarEntry(.characterDevice, "d")
      entry.deviceMajor = 5000
      $0.add(entry)
    }
    return corpus
  }()

  @Test(arguments: corpus.indices)
  func isRefused(index: Int) throws {
    let (name, archive, reason) = Self.corpus[index]
    let scratch = try Scratch()
    #expect {
      try convert(archive, to: scratch.path + "/image", seed: UInt64(index))
    } throws: { error in
      let matches = (error as? ApusError)?.message.contains(reason) == true
      if !matches { print("\(name): \(error)") }
      return matches
    }
  }

  @Test func limits() throws {
    let scratch = try Scratch()
    let store = try scratch.makeStore()
    var builder = TarBuilder()
    for index in 0..<20 { builder.file("f\(index)", "x") }
    let small = try LayerIngest(store: store, keepBlob: false, limits: LayerLimits(totalSize: 5000))
    #expect(throws: ApusError.self) { try push(builder.archive) { try small.write($0) } }
    let few = try LayerIngest(store: store, keepBlob: false, limits: LayerLimits(entries: 10))
    #expect(throws: ApusError.self) { try push(builder.archive) { try few.write($0) } }
  }

  /// Damaged archives end in an error or in an image that is in order; never in a crash or in endless memory.
  @Test(arguments: 0..<8)
  func damaged(seed: Int) throws {
    let scratch = try Scratch()
    var random = Seeded(UInt64(seed) &* 7919)
    let whole = RandomTree(seed: UInt64(seed), size: 12, sparse: true).archive
    for round in 0..<80 {
      var archive = whole
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        switch Int.random(in: 0..<6, using: &random) {
        case 0: archive[Int.random(in: archive.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
        case 1: archive.removeLast(Int.random(in: 1..<min(archive.count, 4000), using: &random))
        case 2:
          let start = Int.random(in: archive.indices, using: &random)
          archive.removeSubrange(start..<min(start + Int.random(in: 1...1024, using: &random), archive.count))
        case 3:
          // A block in another's place.
          let from = Int.random(in: 0..<archive.count / 512, using: &random) * 512
          let to = Int.random(in: 0..<archive.count / 512, using: &random) * 512
          for index in 0..<512 where from + index < archive.count && to + index < archive.count {
            archive[to + index] = archive[from + index]
          }
        default:
          // A field changed and the checksum made right: past the first line of defence.
          let block = Int.random(in: 0..<archive.count / 512, using: &random) * 512
          guard block + 512 <= archive.count else { continue }
          archive[block + Int.random(in: 0..<512, using: &random)] = UInt8.random(in: 0...255, using: &random)
          archive.replaceSubrange(block..<block + 512, with: TarBuilder.sealed(Array(archive[block..<block + 512])))
        }
        if archive.count < 1024 { break }
      }
      let image = scratch.path + "/image"
      do {
        try convert(archive, to: image, seed: UInt64(round))
      } catch is ApusError {
        continue
      }
      if fsckIsThere, round % 10 == 0 { #expect(run("fsck.erofs \(image)") == 0) }
    }
  }

  @Test func randomBytes() throws {
    var random = Seeded(99)
    for _ in 0..<300 {
      let bytes = (0..<Int.random(in: 1...3000, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      var reader = TarReader()
      let sink = RecordingSink()
      #expect(throws: ApusError.self) {
        try push(bytes) { try reader.consume($0, into: sink) }
        try reader.finish()
      }
    }
  }
}

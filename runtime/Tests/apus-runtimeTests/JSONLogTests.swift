import Glibc
import Linux
import SandboxProtocol
import Testing

@testable import apus_runtime

private func escaped(_ bytes: [UInt8]) -> String {
  var output: [UInt8] = []
  bytes.withUnsafeBytes { JSONLogEncoding.appendEscaped($0, to: &output) }
  return String(decoding: output, as: UTF8.self)
}

private func time(_ nanoseconds: Int64) -> String {
  var output: [UInt8] = []
  JSONLogEncoding.appendTime(nanoseconds, to: &output)
  return String(decoding: output, as: UTF8.self)
}

@Suite struct JSONLogEncodingTests {
  @Test func escapesAsGoDoes() {
    #expect(escaped(Array("plain é中😀".utf8)) == "plain é中😀")
    #expect(escaped(Array("\"\\/\n\r\t\u{0}\u{1f}\u{7f}".utf8)) == "\\\"\\\\/\\n\\r\\t\\u0000\\u001f\u{7f}")
    #expect(escaped(Array("<a&b>".utf8)) == "\\u003ca\\u0026b\\u003e")
    #expect(escaped(Array("\u{2028}\u{2029}\u{202a}".utf8)) == "\\u2028\\u2029\u{202a}")
  }

  @Test(
    arguments: [
      [0x80], [0xc0, 0xaf], [0xc1, 0x81], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf0, 0x80, 0x80, 0x80],
      [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xff], [0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x98],
    ] as [[UInt8]])
  func replacesEachByteThatIsNotUTF8(_ bytes: [UInt8]) {
    let replacements = String(repeating: "\\ufffd", count: bytes.count)
    #expect(escaped(bytes) == replacements)
    #expect(escaped([0x61] + bytes + [0x62]) == "a\(replacements)b")
  }

  @Test func writesTimesInRFC3339() {
    #expect(time(0) == "1970-01-01T00:00:00Z")
    #expect(time(951_782_400_000_000_000) == "2000-02-29T00:00:00Z")
    #expect(time(951_868_799_999_999_999) == "2000-02-29T23:59:59.999999999Z")
    #expect(time(951_868_800_120_000_000) == "2000-03-01T00:00:00.12Z")
    #expect(time(1_735_689_599_000_000_001) == "2024-12-31T23:59:59.000000001Z")
    #expect(time(4_107_542_400_000_000_000) == "2100-03-01T00:00:00Z")
  }

  @Test func cutsBetweenCharacters() {
    func cut(_ text: [UInt8]) -> Int { text.withUnsafeBytes { JSONLogEncoding.cut($0) } }
    #expect(cut(Array("abcé".utf8)) == 5)
    #expect(cut(Array("abcé".utf8.dropLast())) == 3)
    #expect(cut(Array("ab😀".utf8.dropLast())) == 2)
    #expect(cut(Array("ab😀".utf8.dropLast(3))) == 2)
    #expect(cut([0x80, 0x80, 0x80, 0x80]) == 4)
    #expect(cut([]) == 0)
  }
}

@Suite final class JSONLogTests {
  private let directory = "/tmp/apus-log-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
  private var path: String { directory + "/log" }

  init() throws { try Files.makeDirectory(directory) }

  deinit {
    for suffix in ["", ".1", ".2"] { unlink(path + suffix) }
    rmdir(directory)
  }

  private func write(_ log: JSONLog, _ text: String, _ stream: JSONLog.Stream = .stdout) {
    Array(text.utf8).withUnsafeBytes { log.append($0, stream) }
  }

  /// The `log` values of a file, still escaped.
  private func entries(_ suffix: String = "") throws -> [String] {
    let text = String(decoding: try Files.read(path + suffix), as: UTF8.self)
    return text.split(separator: "\n").map { line in
      let start = line.index(line.startIndex, offsetBy: 8)
      return String(line[start..<(line.range(of: "\",\"stream\"")?.lowerBound ?? line.endIndex)])
    }
  }

  @Test func joinsWhatArrivesInPieces() throws {
    let log = try JSONLog(LogTarget(path: path))
    write(log, "a")
    write(log, "err\n", .stderr)
    write(log, "b\nc")
    log.trim()
    write(log, "d\n\n")
    write(log, "rest")
    #expect(try entries() == ["err\\n", "ab\\n", "cd\\n", "\\n"])
    log.finish()
    #expect(try entries().last == "rest")
  }

  @Test func rotatesBeforeTheLimit() throws {
    let log = try JSONLog(LogTarget(path: path, maxSize: 200, maxFiles: 3))
    for number in 0..<20 { write(log, "\(number)\n") }
    for suffix in ["", ".1", ".2"] { #expect(try Files.read(path + suffix).count <= 200) }
    #expect(!Files.exists(path + ".3"))
    let all = try entries(".2") + entries(".1") + entries()
    #expect(all.last == "19\\n" && all.count >= 5)
    #expect(all == (20 - all.count..<20).map { "\($0)\\n" })
  }

  @Test func oneFileStartsAgain() throws {
    let log = try JSONLog(LogTarget(path: path, maxSize: 200, maxFiles: 1))
    for number in 0..<20 { write(log, "\(number)\n") }
    #expect(try Files.read(path).count <= 200)
    #expect(try entries().last == "19\\n")
    #expect(!Files.exists(path + ".1"))
  }

  @Test func anEntryLargerThanTheLimitIsKept() throws {
    let log = try JSONLog(LogTarget(path: path, maxSize: 10, maxFiles: 2))
    write(log, "first\n")
    write(log, "second\n")
    #expect(try entries(".1") == ["first\\n"])
    #expect(try entries() == ["second\\n"])
  }
}

extension Substring {
  /// Foundation's, as far as these tests need it.
  fileprivate func range(of text: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
      start = index(after: start)
    }
    return nil
  }
}

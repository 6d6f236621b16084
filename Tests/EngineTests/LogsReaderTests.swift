import FoundationEssentials
import Glibc
import Linux
import Testing

@testable import Engine

@Suite struct LogsReaderTests {
  /// A directory that goes with the test.
  final class Scratch {
    let path: String
    init() throws {
      path = "/tmp/apus-logs-\(getpid())-\(UInt32.random(in: 0 ... .max))"
      try Files.makeDirectory(path)
    }
    deinit {
      for name in ["log", "log.1", "log.2", "log.3"] { unlink(path + "/" + name) }
      rmdir(path)
    }

    var log: String { path + "/log" }

    func append(_ text: String, to name: String = "log") throws {
      let file = try Files.open(path + "/" + name, flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
      try Files.write(Array(text.utf8), to: file.raw)
    }

    /// As the shim does it with three files.
    func rotate() {
      rename(log + ".1", log + ".2")
      rename(log, log + ".1")
    }
  }

  private func line(_ number: Int, stream: String = "stdout") -> String {
    func two(_ value: Int) -> Substring { String(100 + value % 60).dropFirst() }
    let time = "2026-01-02T\(two(3 + number / 3600)):\(two(number / 60)):\(two(number)).5Z"
    return #"{"log":"line \#(number)\n","stream":"\#(stream)","time":"\#(time)"}"# + "\n"
  }

  private func lines(_ range: Range<Int>) -> String { range.map { line($0) }.joined() }

  private func read(_ scratch: Scratch, _ change: (inout LogOptions) -> Void = { _ in }) throws -> [String] {
    var options = LogOptions()
    change(&options)
    let reader = try LogReader(path: scratch.log, options: options)
    return try drain(reader)
  }

  private func drain(_ reader: LogReader) throws -> [String] {
    var texts: [String] = []
    while let entries = try reader.read() { texts += entries.map { String(buffer: $0.line) } }
    return texts
  }

  private func expected(_ range: Range<Int>) -> [String] { range.map { "line \($0)\n" } }

  @Test func noLogYetIsAnEmptyOne() throws {
    #expect(try read(Scratch()) == [])
  }

  @Test func rotatedFilesComeFirst() throws {
    let scratch = try Scratch()
    try scratch.append(lines(0..<10), to: "log.2")
    try scratch.append(lines(10..<20), to: "log.1")
    try scratch.append(lines(20..<25))
    #expect(try read(scratch) == expected(0..<25))
    for tail in [0, 1, 5, 6, 15, 16, 24, 25, 99] {
      #expect(try read(scratch) { $0.tail = tail } == expected(max(0, 25 - tail)..<25), "\(tail)")
    }
    // Docker's clients say "all" with -1.
    #expect(try read(scratch) { $0.tail = -1 }.count == 25)
  }

  @Test func longLogsAreReadFromTheirEnd() throws {
    let scratch = try Scratch()
    try scratch.append(lines(0..<20_000))
    #expect(try read(scratch) { $0.tail = 3000 } == expected(17_000..<20_000))
    #expect(try read(scratch).count == 20_000)
  }

  @Test func entriesAreWhatWasWritten() throws {
    let scratch = try Scratch()
    try scratch.append(
      #"{"log":"a\u0000\"\\\u00e9\ud83d\ude00\u003c\n","stream":"stderr","attrs":{"x":["}",1]},"time":"2026-01-02T03:04:05.123456789Z"}"#
        + "\n")
    var options = LogOptions()
    options.stdout = false
    let entries = try LogReader(path: scratch.log, options: options).read() ?? []
    #expect(entries.count == 1)
    #expect(entries.first.map { String(buffer: $0.line) } == "a\0\"\\é😀<\n")
    #expect(entries.first?.stream == .stderr)
    #expect(entries.first?.timestamp == "2026-01-02T03:04:05.123456789Z")
  }

  @Test func streamsAreChosenAfterTheTail() throws {
    let scratch = try Scratch()
    try scratch.append(line(1) + line(2, stream: "stderr") + line(3))
    #expect(try read(scratch) { $0.stderr = false } == ["line 1\n", "line 3\n"])
    #expect(
      try read(scratch) {
        $0.stderr = false
        $0.tail = 2
      } == ["line 3\n"])
  }

  @Test func timesBoundWhatIsShown() throws {
    let scratch = try Scratch()
    try scratch.append(lines(0..<10), to: "log.1")
    try scratch.append(lines(10..<20))
    // 2026-01-02T03:00:00.5Z, of line 0.
    let base = 1_767_322_800.5
    #expect(try read(scratch) { $0.since = Date(timeIntervalSince1970: base + 100) }.isEmpty)
    #expect(try read(scratch) { $0.since = Date(timeIntervalSince1970: base + 5) } == expected(5..<20))
    #expect(try read(scratch) { $0.until = Date(timeIntervalSince1970: base + 5) } == expected(0..<6))
  }

  @Test func whatIsTornOrForeignIsSkipped() throws {
    let scratch = try Scratch()
    try scratch.append(line(1) + "garbage\n" + #"{"log":"x","stream":"stdout"}"# + "\n\n" + line(2))
    try scratch.append(#"{"log":"half"#)
    #expect(try read(scratch) == ["line 1\n", "line 2\n"])
    #expect(try read(scratch) { $0.tail = 1 } == ["line 2\n"])
    // A follower gets it when it is complete.
    var options = LogOptions()
    options.follow = true
    let reader = try LogReader(path: scratch.log, options: options)
    #expect(try drain(reader) == ["line 1\n", "line 2\n"])
    try scratch.append(#" line\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}"# + "\n")
    #expect(try drain(reader) == ["half line\n"])
  }

  @Test func anEndlessLineIsGivenUp() throws {
    let scratch = try Scratch()
    try scratch.append(line(1) + String(repeating: "x", count: 3 << 20) + "\n" + line(2))
    #expect(try read(scratch) == ["line 1\n", "line 2\n"])
  }

  @Test func followersCrossRotations() throws {
    let scratch = try Scratch()
    try scratch.append(lines(0..<5))
    var options = LogOptions()
    options.follow = true
    options.tail = 2
    let reader = try LogReader(path: scratch.log, options: options)
    #expect(try drain(reader) == expected(3..<5))
    try scratch.append(lines(5..<7))
    scratch.rotate()
    try scratch.append(lines(7..<9))
    scratch.rotate()
    try scratch.append(lines(9..<12))
    #expect(try drain(reader) == expected(5..<12))
    // Between rename and creation.
    scratch.rotate()
    #expect(try drain(reader) == [])
    try scratch.append(lines(12..<13))
    #expect(try drain(reader) == expected(12..<13))
  }

  @Test func aSingleFileIsCutToNothing() throws {
    let scratch = try Scratch()
    try scratch.append(lines(0..<5))
    var options = LogOptions()
    options.follow = true
    let reader = try LogReader(path: scratch.log, options: options)
    #expect(try drain(reader) == expected(0..<5))
    truncate(scratch.log, 0)
    try scratch.append(lines(5..<7))
    #expect(try drain(reader) == expected(5..<7))
  }

  @Test func whoDoesNotFollowStopsAtThePresent() throws {
    let scratch = try Scratch()
    try scratch.append(lines(0..<5))
    let reader = try LogReader(path: scratch.log, options: LogOptions())
    try scratch.append(lines(5..<9))
    #expect(try drain(reader) == expected(0..<5))
  }

  @Test func streamFollowsUntilTheEnd() async throws {
    let scratch = try Scratch()
    try scratch.append(lines(0..<3))
    let blocking = BlockingPool(threads: 2)
    let finished = WakeUp()
    var options = LogOptions()
    options.follow = true
    let stream = try LogStream(path: scratch.log, options: options, blocking: blocking) { await finished.wait() }
    var seen: [String] = []
    for _ in 0..<3 { seen.append(try await stream.next().map { String(buffer: $0.line) } ?? "") }
    let writer = Task {
      for number in 3..<200 {
        try scratch.append(line(number))
        if number % 50 == 0 { scratch.rotate() }
        if number % 20 == 0 { try await Task.sleep(for: .milliseconds(5)) }
      }
      finished.signal()
    }
    while let entry = try await stream.next() { seen.append(String(buffer: entry.line)) }
    try await writer.value
    #expect(seen == expected(0..<200))
    await blocking.shutdown()
  }

  @Test func cancelledFollowersEnd() async throws {
    let scratch = try Scratch()
    let blocking = BlockingPool(threads: 1)
    var options = LogOptions()
    options.follow = true
    let stream = try LogStream(path: scratch.log, options: options, blocking: blocking) {
      try? await Task.sleep(for: .seconds(600))
    }
    let reader = Task { try await stream.next() }
    try await Task.sleep(for: .milliseconds(20))
    reader.cancel()
    #expect(try await reader.value == nil)
    await blocking.shutdown()
  }
}

extension LogEntry: Equatable {
  public static func == (left: LogEntry, right: LogEntry) -> Bool {
    left.line == right.line && left.timestamp == right.timestamp && left.stream == right.stream
  }
}

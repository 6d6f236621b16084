import Errors
import RuntimeSpec
import Testing

@testable import SandboxProtocol

@Suite struct FrameTests {
  @Test func hasTheDocumentedLayout() {
    let frame = Frame(.exec, tag: 0x0102, payload: [7, 8, 9])
    #expect(frame.encoded() == [3, 0, 0, 0, 4, 0, 2, 1, 7, 8, 9])
  }

  @Test(arguments: [1, 2, 3, 7, 8, 9, 1000])
  func survivesAnyFragmentation(_ size: Int) throws {
    let frames = [
      Frame(.start, tag: 1), Frame(.stdin, tag: 65535, payload: Array(repeating: 5, count: 300)),
      Frame(FrameKind(rawValue: 200), tag: 2, payload: [1]), Frame(.end),
    ]
    let bytes = frames.flatMap { $0.encoded() }
    var decoder = FrameDecoder()
    var decoded: [Frame] = []
    for start in stride(from: 0, to: bytes.count, by: size) {
      decoder.append(bytes[start..<min(start + size, bytes.count)])
      while let frame = try decoder.next() { decoded.append(frame) }
    }
    #expect(decoded == frames)
    #expect(decoder.pending == 0)
  }

  @Test func takesTheLargestPayloadAndNoMore() throws {
    var decoder = FrameDecoder()
    decoder.append(Frame(.stdout, payload: Array(repeating: 1, count: Frame.maximumPayload)).encoded())
    #expect(try decoder.next()?.payload.count == Frame.maximumPayload)

    // One byte more is refused from the header alone, before any of it is stored.
    decoder.append([1, 0, 16, 0, 65, 0, 0, 0])
    #expect(throws: ApusError.self) { try decoder.next() }
    var huge = FrameDecoder()
    huge.append([255, 255, 255, 255, 65, 0, 0, 0])
    #expect(throws: ApusError.self) { try huge.next() }
  }

  @Test func refusesWhatIsNotAFrame() {
    var decoder = FrameDecoder()
    decoder.append(Array("GET / HTTP/1.1\r\n".utf8))
    #expect(throws: ApusError.self) { try decoder.next() }
    var reserved = FrameDecoder()
    reserved.append([0, 0, 0, 0, 1, 1, 0, 0])
    #expect(throws: ApusError.self) { try reserved.next() }
  }

  @Test func readsInPlace() throws {
    var decoder = FrameDecoder()
    let bytes = Frame(.oom, tag: 3).encoded()
    decoder.append(capacity: 64) { space in
      space.copyBytes(from: bytes)
      return bytes.count
    }
    #expect(try decoder.next() == Frame(.oom, tag: 3))
    #expect(try decoder.next() == nil)
  }

  @Test func doesNotKeepWhatWasConsumed() throws {
    var decoder = FrameDecoder()
    let frame = Frame(.stdout, payload: Array(repeating: 1, count: 40_000)).encoded()
    // Always half a frame behind, so that the buffer never becomes empty by itself.
    decoder.append(frame.prefix(10))
    for _ in 0..<50 {
      decoder.append(frame.dropFirst(10))
      decoder.append(frame.prefix(10))
      #expect(try decoder.next() != nil)
      #expect(decoder.pending == 10)
    }
  }
}

@Suite struct MessageTests {
  @Test func createSurvivesTheJourney() throws {
    let request = CreateRequest(
      id: "abc",
      spec: Spec(
        process: ProcessSpec(terminal: true, args: ["sh"], cwd: "/"), linux: LinuxSection(cgroupsPath: "apus/abc")),
      root: RootFilesystem(lower: ["/l/2", "/l/1"], upper: "/u", work: "/w", isTemporary: true), user: "www:audio",
      additionalGroups: ["5"],
      createWorkingDirectory: true, useInit: true, openStdin: true, stdinOnce: true,
      log: LogTarget(path: "/log", maxSize: 10 << 20, maxFiles: 3), exitPath: "/exit", socketPath: "/sock",
      seccompCacheDirectory: "/cache", seccompDocument: "/document", rows: 24, columns: 80)
    #expect(try Frame(.create, request).message(CreateRequest.self) == request)
    #expect(try CreateRequest(json: CreateRequest().json()) == CreateRequest())
  }

  @Test func repliesAndEventsSurviveTheJourney() throws {
    let state = SandboxState(pid: 7, status: "running", execs: [ExecState(id: "e", pid: 9)])
    #expect(try SandboxState(json: state.json()) == state)
    let record = ExitRecord(exitCode: 137, oomKilled: true, finishedAt: 1_700_000_000_123_456_789)
    #expect(
      String(decoding: record.json(), as: UTF8.self)
        == #"{"exitCode":137,"oomKilled":true,"finishedAt":1700000000123456789}"#)
    #expect(try ExitRecord(json: record.json()) == record)
    let statistics = SandboxStatistics(
      cpuTotal: .max, perCPU: [1, 2], memoryDetails: ["cache": 5],
      blockBytes: [BlockIO(major: 8, minor: 0, operation: "Read", value: 4096)])
    #expect(try SandboxStatistics(json: statistics.json()) == statistics)
  }

  @Test func errorsKeepCodeAndExitStatus() throws {
    let reply = try ErrorReply(json: ErrorReply(ApusError(.notFound, "No such program."), exitStatus: 127).json())
    #expect(reply.error.code == .notFound && reply.error.message == "No such program.")
    #expect(reply.error.cause as? StartFailure == StartFailure(exitStatus: 127))
    #expect(ErrorReply(code: "invented", message: "x").error.code == .internal)
  }

  @Test func namesTheFieldOfABadMessage() {
    do throws(ApusError) {
      _ = try Frame(.resize, payload: Array(#"{"rows":70000}"#.utf8)).message(ResizeRequest.self)
      Issue.record("accepted")
    } catch {
      #expect(error.message == "The message is not valid: rows: must be an integer from 0 to 65535.")
    }
  }
}

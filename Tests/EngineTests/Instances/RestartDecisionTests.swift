import FoundationEssentials
import Testing

@testable import Engine

@Suite struct RestartDecisionTests {
  @Test func backoffDoublesUpToAMinute() {
    var backoff = RestartBackoff()
    var delays: [Duration] = []
    for _ in 0..<12 { delays.append(backoff.next(uptime: .zero)) }
    #expect(delays[0] == .milliseconds(100))
    #expect(delays[1] == .milliseconds(200))
    #expect(delays[9] == .milliseconds(51_200))
    #expect(delays[10] == .seconds(60))
    #expect(delays[11] == .seconds(60))
  }

  @Test func tenSecondsUpBeginAgain() {
    var backoff = RestartBackoff()
    for _ in 0..<5 { _ = backoff.next(uptime: .zero) }
    #expect(backoff.next(uptime: .seconds(10)) == .milliseconds(100))
    #expect(backoff.next(uptime: .seconds(9)) == .milliseconds(200))
  }

  @Test func policiesAfterAnExit() {
    #expect(!RestartPolicy(.no).restarts(afterExitCode: 1, restarts: 0))
    #expect(RestartPolicy(.always).restarts(afterExitCode: 0, restarts: 99))
    #expect(RestartPolicy(.unlessStopped).restarts(afterExitCode: 0, restarts: 0))
    #expect(!RestartPolicy(.onFailure).restarts(afterExitCode: 0, restarts: 0))
    #expect(RestartPolicy(.onFailure).restarts(afterExitCode: 1, restarts: 1_000))
    #expect(RestartPolicy(.onFailure, maximumRetries: 2).restarts(afterExitCode: 1, restarts: 1))
    #expect(!RestartPolicy(.onFailure, maximumRetries: 2).restarts(afterExitCode: 1, restarts: 2))
  }

  @Test func policiesWhenTheDaemonStarts() {
    var state = InstanceState()
    #expect(!RestartPolicy(.always).startsWithDaemon(state), "never started by anybody")
    state.startedAt = Date()
    #expect(RestartPolicy(.always).startsWithDaemon(state))
    #expect(!RestartPolicy(.no).startsWithDaemon(state))
    state.stoppedByUser = true
    #expect(RestartPolicy(.always).startsWithDaemon(state))
    #expect(!RestartPolicy(.unlessStopped).startsWithDaemon(state))
    #expect(!RestartPolicy(.onFailure).startsWithDaemon(state))
  }
}

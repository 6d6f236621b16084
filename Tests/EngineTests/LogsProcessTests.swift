import Errors
import Glibc
import Testing

@testable import Engine

@Suite struct LogsProcessTests {
  private let output = """
    UID          PID    PPID  C STIME TTY          TIME CMD
    root           1       0  0 07:00 ?        00:00:01 /sbin/init splash
    root          42       1  0 07:00 ?        00:00:00 sh -c echo  a b
    root           -       -  0 07:00 -        00:00:00 -
    root          43       1  0 07:00 ?        00:00:00 other

    """

  @Test func linesOfOursAreKept() throws {
    let table = try ProcessListing.parse(output, pids: [42])
    #expect(table.titles == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"])
    #expect(table.rows.map { $0.last } == ["sh -c echo a b", "-"])
    #expect(table.rows.first?[1] == "42")
  }

  @Test func withoutNumbersNothingCanBePicked() {
    let error = #expect(throws: ApusError.self) { try ProcessListing.parse("CMD\nsh\n", pids: [1]) }
    #expect(error?.message == "Couldn't find PID field in ps output")
  }

  @Test(arguments: ["-o user=PID", "ae -o pid,ppid=PIDX", "-eo user= PID"])
  func columnsMayNotPoseAsNumbers(_ text: String) {
    let error = #expect(throws: ApusError.self) { try ProcessListing.checkArguments(text) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.hasSuffix("is not allowed") == true)
  }

  @Test(arguments: ["", "-ef", "aux", "-o pid=PID", "-eo pid,user=USER"])
  func otherArgumentsMay(_ text: String) throws {
    try ProcessListing.checkArguments(text)
  }

  @Test func theHostsListingFindsThisProcess() throws {
    let table = try ProcessListing.table("-o pid,comm", pids: [getpid()])
    #expect(table.rows.first?.first == "\(getpid())")
    #expect(table.rows.count == 1)
    #expect(throws: ApusError.self) { try ProcessListing.table("--no-such-option", pids: [getpid()]) }
  }

  @Test func hostsFiguresAreParsed() {
    let usage = HostUsage(
      statistics: "cpu  1 2 3 4 5 6 7 100 100 100\ncpu0 1 1\ncpu1 1 1\nintr 5\ncpu9 1\n",
      memory: "MemTotal:       100 kB\nMemFree: 1 kB\n", nanosecondsPerTick: 10_000_000)
    #expect(usage.cpuTotal == 280_000_000)
    #expect(usage.onlineCPUs == 2)
    #expect(usage.memory == 102_400)
  }
}

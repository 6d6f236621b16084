import Glibc
import Linux
import RuntimeSpec
import Testing

@testable import apus_runtime

@Suite struct TextTests {
  @Test("A line of the log is what callers of runc read")
  func log() {
    #expect(
      Log.line(.error, "a \"b\"", time: "2026-01-02T03:04:05Z", json: true)
        == "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\",\"time\":\"2026-01-02T03:04:05Z\"}\n")
    #expect(
      Log.line(.warning, "a b", time: "2026-01-02T03:04:05Z", json: false)
        == "time=\"2026-01-02T03:04:05Z\" level=warning msg=\"a b\"\n")
  }

  @Test("Times have nanoseconds without zeros at their end")
  func times() {
    #expect(Timestamp.text(seconds: 0, nanoseconds: 0) == "1970-01-01T00:00:00Z")
    #expect(Timestamp.text(seconds: 1_700_000_000, nanoseconds: 120_000) == "2023-11-14T22:13:20.00012Z")
  }

  @Test("JSON is indented as Go does it, and strings are left alone")
  func indentation() {
    let compact = "{\"a\":{},\"b\":[],\"c\":[1,\"x,{\\\"}\"],\"d\":{\"e\":true}}"
    #expect(
      JSONText.indented(Array(compact.utf8), by: "  ") == """
        {
          "a": {},
          "b": [],
          "c": [
            1,
            "x,{\\"}"
          ],
          "d": {
            "e": true
          }
        }
        """)
  }

  @Test("Tables have columns of at least twelve characters")
  func table() {
    #expect(
      Command.table([["ID", "PID", "OWNER"], ["a-long-identifier", "7", "root"]])
        == "ID                  PID         OWNER\na-long-identifier   7           root\n")
  }

  @Test("Of a listing of processes, those of the container remain")
  func processes() throws {
    let listing = "UID  PID PPID CMD\nroot  12    1 sh 34\nroot  34    1 sleep 12\n"
    #expect(try Command.select([34], from: listing) == "UID  PID PPID CMD\nroot  34    1 sleep 12\n")
    #expect(throws: (any Error).self) { try Command.select([34], from: "CMD\nsh\n") }
  }

  @Test(
    "Sizes have units of 1024",
    arguments: [
      ("1024", 1024), ("-1", -1), ("64k", 65536), ("64M", 67_108_864), ("1.5g", 1_610_612_736), ("2GiB", 2_147_483_648),
      ("10b", 10),
    ])
  func sizes(_ text: String, _ bytes: Int64) { #expect(MemorySize.bytes(text) == bytes) }

  @Test("What is no size is none", arguments: ["", "x", "1x", "m", "--1", "9999999p", "1.5.5m", "-0.5m"])
  func noSizes(_ text: String) { #expect(MemorySize.bytes(text) == nil) }

  @Test("Spans of time")
  func durations() {
    #expect(Duration.milliseconds("500ms") == 500)
    #expect(Duration.milliseconds("1.5s") == 1500)
    #expect(Duration.milliseconds("2m") == 120_000)
    for text in ["", "5", "s", "-1s", "1d", "nan s", "1e99h"] { #expect(Duration.milliseconds(text) == nil) }
  }

  @Test("The event of memory running out, and that of statistics")
  func events() {
    #expect(Event.outOfMemory(id: "x") == "{\"type\":\"oom\",\"id\":\"x\"}\n")
    var statistics = CgroupStatistics()
    statistics.processes = 3
    let line = Event.statistics(statistics, id: "x")
    #expect(
      line.hasPrefix(
        "{\"type\":\"stats\",\"id\":\"x\",\"data\":{\"cpu\":{\"usage\":{\"kernel\":0,\"user\":0},\"throttling\":{}},"))
    #expect(line.contains("\"pids\":{\"current\":3}"))
  }
}

@Suite struct SpecificationTests {
  @Test("The example is a valid specification, for root and for others")
  func example() throws {
    for spec in [Spec.example, Spec.example.rootless] {
      #expect(try Spec(json: spec.json()) == spec)
      #expect(spec.ociVersion == "1.2.0")
      #expect(spec.process?.args == ["sh"])
    }
    let rootless = Spec.example.rootless
    #expect(rootless.linux?.uidMappings.first?.hostID == geteuid())
    #expect(rootless.linux?.namespaces.contains { $0.type == "network" } == false)
    #expect(rootless.mounts.allSatisfy { $0.options.allSatisfy { !$0.hasPrefix("gid=") } })
  }

  @Test("Zeros that callers fill structures with are not limits")
  func zeros() throws {
    let text = """
      {"memory":{"limit":0,"swap":-1},"cpu":{"shares":0,"quota":-1,"period":0},"pids":{"limit":0},"blockIO":{"weight":0}}
      """
    let resources = try LinuxResources(json: Array(text.utf8)).withoutZeros
    #expect(resources.memory?.limit == nil)
    #expect(resources.memory?.swap == -1)
    #expect(resources.cpu?.shares == nil)
    #expect(resources.cpu?.quota == -1)
    #expect(resources.pids == nil)
    #expect(resources.blockIO?.weight == nil)
  }

  @Test("Only ambient capabilities that can be raised remain")
  func ambient() {
    let capabilities = LinuxCapabilities(
      inheritable: ["CAP_KILL"], permitted: ["CAP_KILL", "CAP_CHOWN"], ambient: ["CAP_KILL", "CAP_CHOWN"])
    #expect(capabilities.possible.ambient == ["CAP_KILL"])
  }
}

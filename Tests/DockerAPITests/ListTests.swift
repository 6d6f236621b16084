import DockerTypes
import Engine
import Errors
import FoundationEssentials
import NIOCore
import Netlink
import Networking
import Testing

@testable import DockerAPI

struct ListTests {
  private func record(_ name: String, _ status: InstanceStatus, exitCode: Int32 = 0) throws -> InstanceRecord {
    var request = ContainerCreateRequest()
    request.config.image = "debian:12"
    request.config.cmd = ["sleep", "1 d"]
    request.config.labels = ["app": name]
    var record = try exampleRecord(request, status: status)
    record.name = name
    record.state.exitCode = exitCode
    return record
  }

  private func allows(_ filters: String, all: Bool = false, _ record: InstanceRecord) throws -> Bool {
    try ContainerFilter(
      try Filters(json: filters), all: all, ancestors: [], before: nil, since: nil,
      networks: NetworkDirectory(exampleNetworks)
    ).allows(record)
  }

  @Test func onlyTheRunningUnlessAskedOtherwise() throws {
    #expect(try allows("", record("a", .running)))
    #expect(try allows("", record("a", .paused)))
    #expect(try !allows("", record("a", .exited)))
    #expect(try allows("", all: true, record("a", .exited)))
    #expect(try allows(#"{"status":["exited"]}"#, record("a", .exited)))
    #expect(try allows(#"{"exited":["3"]}"#, all: true, record("a", .exited, exitCode: 3)))
    #expect(try !allows(#"{"exited":["3"]}"#, all: true, record("a", .exited, exitCode: 4)))
  }

  @Test func namesAreExpressions() throws {
    let web = try record("web-1", .running)
    for pattern in ["web", "^/web-1$", "^web-1$", "b-[0-9]"] {
      #expect(try allows(#"{"name":["\#(pattern)"]}"#, web), "\(pattern)")
    }
    #expect(try !allows(#"{"name":["^eb"]}"#, web))
    #expect(try allows(#"{"label":["app=web-1"]}"#, web))
  }

  @Test func networksAndPortsAreFilters() throws {
    var request = ContainerCreateRequest()
    request.config.image = "debian:12"
    request.config.exposedPorts = ["80/tcp": EmptyObject(), "53/udp": EmptyObject()]
    let port = PublishedPort(
      proto: .tcp, hostAddress: IPAddress(.v4, 0), hostPort: 8_080, address: IPAddress(.v4, 0xac11_0005), port: 80)
    let web = try running(try exampleRecord(request), "05", ports: [port])
    for filters in [
      #"{"network":["bridge"]}"#, #"{"network":["ddd"]}"#, #"{"network":["front","bridge"]}"#,
      #"{"publish":["8080"]}"#, #"{"publish":["8000-9000/tcp"]}"#, #"{"expose":["80"]}"#, #"{"expose":["50-60/udp"]}"#,
      #"{"expose":["81"],"publish":["8080/tcp"]}"#,
    ] { #expect(try allows(filters, web), "\(filters)") }
    for filters in [
      #"{"network":["front"]}"#, #"{"publish":["80"]}"#, #"{"publish":["8080/udp"]}"#, #"{"expose":["53"]}"#,
      #"{"expose":["8080"]}"#,
    ] { #expect(try !allows(filters, web), "\(filters)") }
  }

  @Test func impossibleValuesAreRefused() throws {
    for filters in [
      #"{"status":["asleep"]}"#, #"{"exited":["x"]}"#, #"{"health":["ill"]}"#, #"{"publish":["1:2"]}"#,
      #"{"expose":["x/tcp"]}"#, #"{"publish":["80/icmp"]}"#,
    ] {
      #expect(throws: ApusError.self) { try allows(filters, record("a", .running)) }
    }
  }

  @Test func statusesAreDockers() {
    let now = Date(timeIntervalSince1970: 1_000_000)
    func text(_ status: InstanceStatus, after seconds: Double, _ change: (inout InstanceState) -> Void = { _ in })
      -> String
    {
      var state = InstanceState()
      state.status = status
      state.startedAt = now.addingTimeInterval(-seconds)
      state.finishedAt = state.startedAt
      change(&state)
      return StatusText.describe(state, now: now)
    }
    #expect(text(.running, after: 0.2) == "Up Less than a second")
    #expect(text(.running, after: 61) == "Up About a minute")
    #expect(text(.running, after: 3_600 * 30) { $0.health = HealthState() } == "Up 30 hours (health: starting)")
    #expect(text(.paused, after: 120) == "Up 2 minutes (Paused)")
    #expect(text(.exited, after: 86_400 * 20) { $0.exitCode = 137 } == "Exited (137) 2 weeks ago")
    #expect(text(.created, after: 5) == "Created")
  }

  @Test func aSummaryHasDockersShape() throws {
    let summary = ContainerSummary(
      try record("web", .running), image: "debian:12", now: Date(), networks: NetworkDirectory(exampleNetworks))
    #expect(summary.command == "sleep '1 d'")
    #expect(summary.names == ["/web"])
    #expect(summary.networkSettings.networks.keys.sorted() == ["bridge"])
    #expect(try json(summary).contains(#""Ports":[]"#))
  }

  @Test(arguments: [
    ("debian:12", "debian", true), ("debian:12", "debian:1*", true), ("debian:12", "deb?an", true),
    ("debian:12", "ubuntu", false), ("reg.example/a/b:1", "reg.example/*/b", true), ("reg.example/a/b:1", "*/b", false),
    ("reg.example:5000/a", "reg.example:5000/a", true), ("debian:12", "*:12", true), ("debian:12", "", false),
  ])
  func imagePatterns(name: String, pattern: String, matches: Bool) {
    #expect(ImageName.matches(name, pattern) == matches)
  }

  @Test func eventsAreFiltered() throws {
    let event = EngineEvent(
      kind: "container", action: "exec_create: sh -c x", subject: "0123456789abcdef",
      attributes: ["name": "web", "image": "debian:12", "app": "x"], time: Date())
    func allows(_ filters: String) throws -> Bool { EventFilter(filters: try Filters(json: filters)).allows(event) }
    #expect(try allows(#"{"event":["exec_create"]}"#))
    #expect(try !allows(#"{"event":["start"]}"#))
    #expect(try allows(#"{"container":["web"],"type":["container"]}"#))
    #expect(try allows(#"{"image":["debian"]}"#))
    #expect(try !allows(#"{"volume":["web"]}"#))
    #expect(try allows(#"{"label":["app=x"]}"#))
    let message = EventMessage(event)
    #expect(message.from == "debian:12" && message.status == event.action && message.actor.id == event.subject)
  }

  @Test func logLinesAreFramed() {
    let entry = LogEntry(
      stream: .stderr, line: ByteBuffer(string: "hi\n"), time: Date(), timestamp: "2026-01-01T00:00:00.000000000Z")
    let raw = LogForm(multiplexed: false, timestamps: true).bytes(entry)
    #expect(String(buffer: raw) == "2026-01-01T00:00:00.000000000Z hi\n")
    let framed = LogForm(multiplexed: true, timestamps: false).bytes(entry)
    #expect(Array(framed.readableBytesView) == [2, 0, 0, 0, 0, 0, 0, 3] + Array("hi\n".utf8))
  }

  @Test func aCommitsBodyBecomesInstructions() throws {
    let config = try decoded(
      ContainerConfig.self,
      #"{"Cmd":["a b"],"Env":["X=1 \"2\""],"Labels":{"k":"v"},"User":"u","ExposedPorts":{"80/tcp":{}}}"#)
    #expect(
      config.instructions == [#"CMD ["a b"]"#, #"ENV X="1 \"2\"""#, #"LABEL "k"="v""#, "USER u", "EXPOSE 80/tcp"])
  }
}

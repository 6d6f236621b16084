import Errors
import Glibc
import Testing

@testable import Linux

@Suite struct SystemdUnitTests {
  @Test(arguments: [
    ("system.slice:apus:web", "apus-web.scope", "system.slice/apus-web.scope"),
    ("", "apus-id.scope", "system.slice/apus-id.scope"), (":p:n", "p-n.scope", "system.slice/p-n.scope"),
    ("-:p:n", "p-n.scope", "p-n.scope"), ("a-b-c.slice::n", "n.scope", "a.slice/a-b.slice/a-b-c.slice/n.scope"),
    ("kube.slice:p:kube-pod.slice", "kube-pod.slice", "kube.slice/kube-pod.slice"),
  ])
  func namesAndPlaces(text: String, name: String, path: String) throws {
    let unit = try SystemdUnit(text, id: "id", isUser: false)
    #expect(unit.name == name)
    #expect(try unit.path() == path)
  }

  @Test func usersHaveTheirOwnSlice() throws {
    #expect(try SystemdUnit("", id: "c", isUser: true).slice == "user.slice")
    #expect(try SystemdUnit("app.slice:p:n", id: "c", isUser: true).slice == "app.slice")
  }

  @Test(arguments: [
    "web", "a:b", "a:b:c:d", "system:p:n", "a/b.slice:p:n", "a--b.slice:p:n", "-a.slice:p:n", "a-.slice:p:n",
    ".slice:p:n",
    "system.slice:p:a/b", "system.slice:p:a b", "system.slice:p:..\u{0}", "x.slice:p:y--z.slice",
    "system.slice:p:\(String(repeating: "n", count: 256))",
  ])
  func whatIsNoUnitIsRefused(text: String) {
    let error = #expect(throws: ApusError.self) { try SystemdUnit(text, id: "c", isUser: false) }
    #expect(error?.message.hasPrefix("linux.cgroupsPath: ") == true)
  }
}

@Suite struct SystemdPropertyTests {
  private func properties(
    version: Int = 2, _ change: (inout CgroupResources) -> Void
  ) -> [String: DBusValue] {
    var resources = CgroupResources()
    change(&resources)
    return Dictionary(
      SystemdProperty.resources(resources, version: version).map { ($0.name, $0.setting) }, uniquingKeysWith: { $1 })
  }

  @Test func memoryOfV2() {
    let found = properties {
      $0.memory.limit = 100
      $0.memory.reservation = 50
      $0.memory.swap = 130
    }
    #expect(found == ["MemoryMax": .uint64(100), "MemoryLow": .uint64(50), "MemorySwapMax": .uint64(30)])
    #expect(properties { $0.memory.limit = -1 } == ["MemoryMax": .uint64(.max)])
    #expect(properties { $0.memory.swap = -1 } == ["MemorySwapMax": .uint64(.max)])
    // Of both together, of which one is not known.
    #expect(properties { $0.memory.swap = 130 } == [:])
  }

  @Test func processors() {
    let found = properties {
      $0.processor.shares = 1024
      $0.processor.quota = 12345
      $0.processor.period = 100_000
      $0.processor.processors = "0-2,9"
      $0.processes = 0
    }
    #expect(
      found == [
        "CPUWeight": .uint64(39), "CPUQuotaPerSecUSec": .uint64(130_000), "CPUQuotaPeriodUSec": .uint64(100_000),
        "AllowedCPUs": .bytes([7, 2]), "TasksMax": .uint64(.max),
      ])
    #expect(properties { $0.processor.quota = -1 } == ["CPUQuotaPerSecUSec": .uint64(.max)])
    #expect(properties { $0.processor.quota = .max } == ["CPUQuotaPerSecUSec": .uint64(.max)])
    for list in ["x", "3-1", "-1", "1-2-3", "9999", ""] {
      #expect(properties { $0.processor.processors = list } == [:])
    }
  }

  @Test func limitsOfV1HaveOtherNames() {
    let found = properties(version: 1) {
      $0.memory.limit = 100
      $0.memory.swap = 130
      $0.processor.shares = 512
      $0.blockIO.weight = 300
      $0.unified = ["pids.max": "5"]
    }
    #expect(found == ["MemoryLimit": .uint64(100), "CPUShares": .uint64(512), "BlockIOWeight": .uint64(300)])
  }

  @Test func filesOfV2() {
    let found = properties {
      $0.unified = [
        "memory.high": "max", "memory.min": "7", "cpu.max": "50000 100000", "cpuset.mems": "0\n", "cpu.weight": "x",
        "io.max": "y",
      ]
      $0.blockIO.weight = 1000
    }
    #expect(
      found == [
        "MemoryHigh": .uint64(.max), "MemoryMin": .uint64(7), "CPUQuotaPerSecUSec": .uint64(500_000),
        "CPUQuotaPeriodUSec": .uint64(100_000), "AllowedMemoryNodes": .bytes([1]), "IOWeight": .uint64(10000),
      ])
  }

  @Test func devices() {
    func rules(_ rules: [CgroupResources.DeviceRule]) -> [String: DBusValue] { properties { $0.devices = rules } }
    func allow(_ list: [(String, String)]) -> DBusValue {
      .array("(ss)", list.map { .structure([.string($0.0), .string($0.1)]) })
    }
    #expect(rules([.init(allow: true)]) == ["DevicePolicy": .string("auto"), "DeviceAllow": allow([])])
    #expect(
      rules([
        .init(allow: false), .init(allow: true, kind: .character, major: 1, minor: 3, access: "m"),
        .init(allow: true, kind: .character, major: 1, minor: 3, access: "r"),
        .init(allow: false, kind: .character, major: 1, minor: 3, access: "w"),
        .init(allow: true, kind: .block, access: "m"), .init(allow: true, kind: .character, major: 136),
      ]) == [
        "DevicePolicy": .string("strict"),
        "DeviceAllow": allow([("/dev/char/1:3", "rm"), ("block-*", "m"), ("char-136", "rwm")]),
      ])
  }

  @Test func annotations() throws {
    let found = try SystemdProperty.annotated([
      "org.systemd.property.TimeoutStopUSec": "uint64 5", "org.systemd.property.CollectMode": "'in\\'active'",
      "org.systemd.property.Before": "['a.service', \"b.service\"]", "org.systemd.property.SendSIGHUP": "true",
      "org.systemd.property.RuntimeMaxSec": "uint64 2", "org.systemd.property.Nice": " -5 ", "other": "'",
    ])
    #expect(
      found == [
        SystemdProperty("Before", .strings(["a.service", "b.service"])),
        SystemdProperty("CollectMode", .string("in'active")),
        SystemdProperty("Nice", .int32(-5)), SystemdProperty("RuntimeMaxUSec", .uint64(2_000_000)),
        SystemdProperty("SendSIGHUP", .boolean(true)), SystemdProperty("TimeoutStopUSec", .uint64(5)),
      ])
    for (name, text) in [
      ("A.b", "true"), ("Abc", "'a"), ("Abc", "[1]"), ("Abc", "['a'"), ("Abc", "uint64 -1"), ("Abc", ""), ("Abc", "no"),
      ("X", "true"),
      ("TimeoutSec", "'x'"), ("TimeoutSec", "-1"),
    ] {
      #expect(throws: ApusError.self, "\(name) \(text)") {
        try SystemdProperty.annotated(["org.systemd.property.\(name)": text])
      }
    }
  }
}

@Suite struct SystemdManagerTests {
  private let job = DBusValue.objectPath("/org/freedesktop/systemd1/job/7")

  @Test func aUnitIsThereWhenItsJobIsDone() throws {
    let job = job
    let connection = try DBusPeer.connect { peer in
      peer.welcome()
      guard let call = peer.next() else { return }
      #expect(call.member == "StartTransientUnit" && call.interface == "org.freedesktop.systemd1.Manager")
      #expect(
        call.body == [
          .string("a.scope"), .string("replace"),
          .array("(sv)", [.structure([.string("Delegate"), .variant(.boolean(true))])]), .array("(sa(sv))", []),
        ])
      // The end of another one's job, and of this one before its number is known.
      peer.signal(
        "JobRemoved",
        [.uint32(6), .objectPath("/org/freedesktop/systemd1/job/6"), .string("b.scope"), .string("failed")])
      peer.signal("JobRemoved", [.uint32(7), job, .string("a.scope"), .string("done")])
      peer.answer(call, [job])
      while peer.next() != nil {}
    }
    try SystemdManager(connection, isBus: false).start(
      "a.scope", properties: [SystemdProperty("Delegate", .boolean(true))])
  }

  @Test func aFailedJobIsAnError() throws {
    let job = job
    let connection = try DBusPeer.connect { peer in
      peer.welcome()
      guard let call = peer.next() else { return }
      peer.answer(call, [job])
      peer.signal("JobRemoved", [.uint32(7), job, .string("a.scope"), .string("canceled")])
      while peer.next() != nil {}
    }
    let manager = try SystemdManager(connection, isBus: false)
    let error = #expect(throws: ApusError.self) { try manager.start("a.scope", properties: []) }
    #expect(error?.message == "systemd could not start a.scope: its job ended as \"canceled\"")
  }

  @Test(arguments: [true, false]) func whatHasFailedMakesWay(isFailed: Bool) throws {
    let job = job
    let connection = try DBusPeer.connect { peer in
      peer.welcome()
      var isThere = true
      while let call = peer.next() {
        switch call.member {
        case "StartTransientUnit" where isThere: peer.refuse(call, "org.freedesktop.systemd1.UnitExists", "exists")
        case "ResetFailedUnit":
          isThere = !isFailed
          peer.answer(call)
        default:
          peer.answer(call, [job])
          peer.signal("JobRemoved", [.uint32(7), job, .string("a.scope"), .string("done")])
        }
      }
    }
    let manager = try SystemdManager(connection, isBus: false)
    if isFailed { return try manager.start("a.scope", properties: []) }
    let error = #expect(throws: ApusError.self) { try manager.start("a.scope", properties: []) }
    #expect(error?.code == .conflict)
  }

  @Test func aUnitThatIsGoneIsStopped() throws {
    let connection = try DBusPeer.connect { peer in
      peer.welcome()
      while let call = peer.next() { peer.refuse(call, "org.freedesktop.systemd1.NoSuchUnit", "not loaded") }
    }
    try SystemdManager(connection, isBus: false).stop("a.scope")
  }

  @Test func aBusIsAskedForSignals() throws {
    let connection = try DBusPeer.connect(isBus: true) { peer in
      peer.welcome()
      for member in ["Hello", "AddMatch", "Subscribe"] {
        guard let call = peer.next() else { return }
        #expect(call.member == member)
        peer.answer(call)
      }
      guard let call = peer.next() else { return }
      #expect(call.destination == "org.freedesktop.systemd1" && call.member == "Get")
      peer.answer(call, [.variant(.string("/user.slice/user-1000.slice/user@1000.service"))])
      while peer.next() != nil {}
    }
    #expect(
      try SystemdManager(connection, isBus: true).controlGroup() == "user.slice/user-1000.slice/user@1000.service")
  }

  @Test func aScopeAndASliceDiffer() throws {
    func names(_ text: String, _ properties: [SystemdProperty] = []) throws -> [String] {
      let unit = try SystemdUnit(text, id: "c", isUser: false)
      let driver = try CgroupSystemd(unit, properties: properties, files: CgroupV2()) { () throws(ApusError) in
        throw ApusError(.internal, "not to be asked")
      }
      return driver.startProperties(CgroupResources(), process: 5).map(\.name)
    }
    let accounting = ["CPUAccounting", "MemoryAccounting", "TasksAccounting", "IOAccounting"]
    #expect(
      try names("s.slice:p:n") == ["Description", "Slice", "Delegate", "PIDs", "DefaultDependencies"] + accounting)
    #expect(try names("s.slice:p:s-n.slice") == ["Description", "Wants", "DefaultDependencies"] + accounting)
    // What an annotation says comes once, and last.
    #expect(
      try names("s.slice:p:n", [SystemdProperty("Description", .string("x"))])
        == ["Slice", "Delegate", "PIDs", "DefaultDependencies"] + accounting + ["Description"])
  }

  @Test func placesBelowAUnit() {
    let unit = SystemdUnit(name: "a.scope", slice: "user.slice", isUser: true)
    #expect(CgroupSystemd.place(of: "x/a.scope", in: unit) == "")
    #expect(CgroupSystemd.place(of: "x/a.scope/b/c", in: unit) == "/b/c")
  }

  @Test func aUsersManagerNeedsV2() throws {
    let unit = try SystemdUnit("", id: "c", isUser: true)
    #expect(throws: ApusError.self) {
      try CgroupSystemd(unit, properties: [], files: CgroupV1()) { () throws(ApusError) in
        throw ApusError(.internal, "not to be asked")
      }
    }
  }
}

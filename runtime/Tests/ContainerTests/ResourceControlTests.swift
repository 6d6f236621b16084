import Errors
import Glibc
import Linux
import RuntimeSpec
import Testing

@testable import Container

/// A directory in the place of the file system, which few machines have: its files are not there before they are written.
private final class Double {
  let root: String
  var control: ResourceControl { ResourceControl(root: root) }

  init() throws {
    root = "/tmp/apus-resctrl-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try Files.makeDirectories("\(root)/info")
    try Files.writeAtomically(Array("    MB:0=100\n    L3:0=7ff;1=7ff\n".utf8), to: "\(root)/schemata")
  }

  deinit {
    var name = Array("\(root)\0".utf8.map { CChar(bitPattern: $0) })
    _ = nftw(&name, { path, _, _, _ in path.map { remove($0) } ?? 0 }, 16, 1 | 8)
  }

  func read(_ path: String) -> String {
    (try? String(decoding: Files.read("\(root)/\(path)", limit: 4096), as: UTF8.self)) ?? "-"
  }
}

@Suite struct ResourceControlTests {
  @Test func aContainersOwnGroup() throws {
    let double = try Double()
    let rdt = LinuxIntelRdt(l3CacheSchema: "L3:0=7f0;1=1f\nMB:0=10", memBwSchema: "MB:0=20;1=70")
    try double.control.validate(rdt)
    let (group, isOwn) = try double.control.enter(rdt, id: "c", process: 42)
    #expect(group == "c" && isOwn)
    // The bandwidth of the wrong field has given way.
    #expect(double.read("c/schemata") == "L3:0=7f0;1=1f\nMB:0=20;1=70\n")
    #expect(double.read("c/tasks") == "42")
    try double.control.set(LinuxIntelRdt(l3CacheSchema: "L3:0=1f;1=1f"), of: "c")
    #expect(double.read("c/schemata").hasPrefix("L3:0=1f;1=1f\n"))
  }

  @Test func aClassOfServiceThatOthersHaveMade() throws {
    let double = try Double()
    #expect(throws: ApusError.self) { try double.control.validate(LinuxIntelRdt(closID: "gold")) }
    try Files.makeDirectories("\(double.root)/gold")
    try Files.writeAtomically(
      Array("    MB:0= 20;1= 70\n    L3:0=007f0;1=0001f\n".utf8), to: "\(double.root)/gold/schemata")
    try double.control.validate(LinuxIntelRdt(closID: "gold"))
    for schema in ["", "L3:0=7f0;1=1f"] {
      let (group, isOwn) = try double.control.enter(
        LinuxIntelRdt(closID: "gold", l3CacheSchema: schema), id: "c", process: 7)
      #expect(group == "gold" && !isOwn)
    }
    #expect(double.read("gold/tasks") == "7")
    let error = #expect(throws: ApusError.self) {
      try double.control.enter(LinuxIntelRdt(closID: "gold", memBwSchema: "MB:0=30;1=70"), id: "c", process: 7)
    }
    #expect(error?.code == .conflict)
  }

  @Test func aClassOfServiceIsMadeWithItsLimits() throws {
    let double = try Double()
    let rdt = LinuxIntelRdt(closID: "silver", schemata: ["L2:0=3"])
    try double.control.validate(rdt)
    #expect(try double.control.enter(rdt, id: "c", process: 7) == ("silver", false))
    #expect(double.read("silver/schemata") == "L2:0=3\n")
  }

  @Test func whatTheKernelSaysIsTheReason() throws {
    let double = try Double()
    try Files.writeAtomically(
      Array("MB value 5 out of range [10,100]\n".utf8), to: "\(double.root)/info/last_cmd_status")
    // A directory cannot be written to.
    try Files.makeDirectories("\(double.root)/c/schemata")
    let error = #expect(throws: ApusError.self) {
      try double.control.enter(LinuxIntelRdt(memBwSchema: "MB:0=5"), id: "c", process: 7)
    }
    #expect(error?.message.hasSuffix("MB value 5 out of range [10,100]") == true)
  }

  @Test(arguments: ["a/b", "..", "info", "mon_groups", ".hidden"]) func namesAreChecked(name: String) throws {
    let double = try Double()
    #expect(throws: ApusError.self) {
      try double.control.validate(LinuxIntelRdt(closID: name, l3CacheSchema: "L3:0=1"))
    }
  }

  @Test func withoutTheFileSystemItSaysSo() {
    let error = #expect(throws: ApusError.self) { try ResourceControl(root: "/nowhere").validate(LinuxIntelRdt()) }
    #expect(error?.message.contains("no resctrl file system mounted at /nowhere") == true)
  }
}

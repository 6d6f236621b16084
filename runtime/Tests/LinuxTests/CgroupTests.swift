import Errors
import Testing

@testable import Linux

@Suite struct CgroupTests {
  @Test func numbers() {
    func number(_ text: String) -> UInt64? { Cgroups.number(of: Array(text.utf8)[...]) }
    #expect(number("42\n") == 42)
    #expect(number("max\n") == .max)
    #expect(number("99999999999999999999999") == .max)
    #expect(number("") == nil && number("x") == nil)
  }

  @Test func tables() {
    #expect(
      Cgroups.table(of: Array("cache 4096\noom_kill 1\nbroken\n 5\nfrozen x\n".utf8))
        == ["cache": 4096, "oom_kill": 1, "": 5])
  }

  @Test(arguments: ["", "/a", "a/", "a//b", ".", "a/../b", "a/./b", String(repeating: "x", count: 600)])
  func refusesPaths(path: String) {
    #expect(throws: ApusError.self) { try Cgroups.validate(path) }
  }

  @Test func acceptsPaths() throws {
    try Cgroups.validate("apus/0123abcd")
    try Cgroups.validate("kubepods/burstable/pod.1/a:b")
  }

  @Test func weights() {
    #expect(CgroupV2.weight(shares: 2) == 1)
    #expect(CgroupV2.weight(shares: 1024) == 39)
    #expect(CgroupV2.weight(shares: 262_144) == 10000)
    #expect(CgroupV2.weight(shares: 0) == 1)
  }

  @Test func blockDevices() {
    let devices = CgroupV2.devices(ioStat: Array("259:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=9\nbad\n8:16 \n".utf8))
    #expect(devices.count == 2)
    #expect(
      devices[0]
        == CgroupStatistics.DeviceUsage(
          major: 259, minor: 0, readBytes: 1, writeBytes: 2, readOperations: 3, writeOperations: 4))
    var old: [CgroupStatistics.DeviceUsage] = []
    let text = "8:0 Read 10\n8:0 Write 20\n8:0 Total 30\n8:16 Read 1\nTotal 31\n"
    CgroupV1.addBlockIO(Array(text.utf8), to: &old, read: \.readBytes, write: \.writeBytes)
    #expect(old.count == 2 && old[0].readBytes == 10 && old[0].writeBytes == 20 && old[1].readBytes == 1)
  }
}

/// Runs a device program as the kernel would, on one request.
private func answer(_ program: DeviceProgram, type: Int64, access: Int64, major: Int64, minor: Int64) -> Int64? {
  var registers = [Int64](repeating: 0, count: 11)
  let context: [Int16: Int64] = [0: access << 16 | type, 4: major, 8: minor]
  var position = 0
  for _ in 0..<1000 {
    let step = program.instructions[position]
    let (to, from) = (Int(step.registers & 15), Int(step.registers >> 4))
    position += 1
    switch step.opcode {
    case 0x61: registers[to] = context[step.offset] ?? 0
    case 0xbc: registers[to] = registers[from]
    case 0x54: registers[to] &= Int64(step.immediate)
    case 0x74: registers[to] >>= Int64(step.immediate)
    case 0xb7: registers[to] = Int64(step.immediate)
    case 0x55: if registers[to] != Int64(step.immediate) { position += Int(step.offset) }
    case 0x15: if registers[to] == Int64(step.immediate) { position += Int(step.offset) }
    case 0x5d: if registers[to] != registers[from] { position += Int(step.offset) }
    case 0x95: return registers[0]
    default: return nil
    }
  }
  return nil
}

@Suite struct DeviceProgramTests {
  private let block: Int64 = 1
  private let character: Int64 = 2
  private let make: Int64 = 1
  private let read: Int64 = 2
  private let write: Int64 = 4

  @Test func lastRuleDecides() {
    let program = DeviceProgram(rules: [
      .init(allow: false), .init(allow: true, kind: .character, access: "m"),
      .init(allow: true, kind: .character, major: 1, minor: 3), .init(allow: true, kind: .character, major: 136),
      .init(allow: true, kind: .block, major: 8, minor: 0, access: "r"),
      .init(allow: false, kind: .character, major: 136, minor: 9, access: "w"),
    ])
    func allows(_ type: Int64, _ access: Int64, _ major: Int64, _ minor: Int64) -> Int64? {
      answer(program, type: type, access: access, major: major, minor: minor)
    }
    #expect(allows(character, read | write, 1, 3) == 1)
    #expect(allows(character, read, 1, 5) == 0)
    #expect(allows(character, make, 1, 5) == 1)
    #expect(allows(character, make | read, 1, 5) == 0)
    #expect(allows(block, make, 8, 0) == 0)
    #expect(allows(block, read, 8, 0) == 1)
    #expect(allows(block, read | write, 8, 0) == 0)
    #expect(allows(character, read, 136, 9) == 1)
    #expect(allows(character, read | write, 136, 9) == 0)
    #expect(allows(character, write, 136, 8) == 1)
  }

  @Test func everythingAndNothing() {
    #expect(answer(DeviceProgram(rules: []), type: 1, access: 7, major: 8, minor: 0) == 0)
    let open = DeviceProgram(rules: [.init(allow: false), .init(allow: true)])
    #expect(answer(open, type: 1, access: 7, major: 8, minor: 0) == 1)
  }
}

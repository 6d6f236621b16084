import CSeccomp
import Errors
import Glibc
import RuntimeSpec
import Testing

@testable import Container

/// Runs a classic BPF program on a struct seccomp_data, as the kernel does; nil when it does something illegal.
private func verdict(_ program: [UInt8], number: UInt32, architecture: UInt32, arguments: [UInt64]) -> UInt32? {
  func word(_ offset: UInt32) -> UInt32? {
    switch offset {
    case 0: return number
    case 4: return architecture
    case 16..<64 where offset % 4 == 0:
      let argument = arguments[Int(offset - 16) / 8]
      return UInt32(truncatingIfNeeded: offset % 8 == 0 ? argument : argument >> 32)
    default: return nil
    }
  }
  var accumulator: UInt32 = 0
  var position = 0
  while position * 8 + 8 <= program.count {
    let step = program[(position * 8)..<(position * 8 + 8)]
    let base = step.startIndex
    let code = UInt16(step[base]) | UInt16(step[base + 1]) << 8
    let (yes, no) = (Int(step[base + 2]), Int(step[base + 3]))
    let operand = (4..<8).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32(step[base + $1]) }
    position += 1
    switch code {
    case 0x20:
      guard let value = word(operand) else { return nil }
      accumulator = value
    case 0x54: accumulator &= operand
    case 0x05: position += Int(operand)
    case 0x15: position += accumulator == operand ? yes : no
    case 0x25: position += accumulator > operand ? yes : no
    case 0x35: position += accumulator >= operand ? yes : no
    case 0x45: position += accumulator & operand != 0 ? yes : no
    case 0x06: return operand
    default: return nil
    }
  }
  return nil
}

@Suite struct SeccompRangesTests {
  @Test func findsRanges() {
    #expect(SeccompRanges.ranges([5, 1, 2, 3, 5, 9, 10]) == [1...3, 5...5, 9...10])
    #expect(SeccompRanges.ranges([]) == [])
    #expect(SeccompRanges.ranges([UInt32.max - 1]) == [(UInt32.max - 1)...(UInt32.max - 1)])
  }

  /// A profile with everything that makes Docker's what it is.
  private var profile: LinuxSeccomp {
    var names: [String] = []
    for number in 0..<460 {
      guard let name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), Int32(number)) else { continue }
      // Holes of several sizes.
      if number % 7 != 3 && !(100..<112).contains(number) { names.append(String(cString: name)) }
      free(name)
    }
    names.removeAll { ["clone", "personality", "socket", "setns", "clone3", "kill"].contains($0) }
    names += [
      "socketcall", "ipc", "_llseek", "chown32", "waitpid", "bind", "shmat", "nosuchcall", "time64", "arch_prctl",
    ]
    return LinuxSeccomp(
      defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 1,
      architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
      syscalls: [
        LinuxSyscall(names: names, action: "SCMP_ACT_ALLOW"),
        LinuxSyscall(
          names: ["personality"], action: "SCMP_ACT_ALLOW",
          args: [LinuxSeccompArgument(index: 0, value: 8, op: "SCMP_CMP_EQ")]),
        LinuxSyscall(
          names: ["clone"], action: "SCMP_ACT_ALLOW",
          args: [LinuxSeccompArgument(index: 0, value: 2_114_060_288, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ")]),
        LinuxSyscall(
          names: ["socket"], action: "SCMP_ACT_ALLOW",
          args: [LinuxSeccompArgument(index: 0, value: 40, op: "SCMP_CMP_NE")]),
        LinuxSyscall(names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38),
        LinuxSyscall(names: ["kill"], action: "SCMP_ACT_LOG"),
      ])
  }

  /// The whole space of numbers, architectures and telling arguments: same answer with and without ranges.
  @Test(.enabled(if: seccomp_arch_native() == seccomp_arch_resolve_name("x86_64")))
  func changeNothing() throws {
    var subset = profile
    subset.architectures = []
    for profile in [profile, subset] {
      let with = try Seccomp.compile(profile)
      let without = try Seccomp.compile(profile, inRanges: false)
      #expect(with.count < without.count)
      let architectures =
        ["x86_64", "x86", "aarch64"].map { (name: String) in seccomp_arch_resolve_name(name) } + [0, UInt32.max]
      let values: [UInt64] = [0, 1, 8, 40, 41, 0xffff_ffff, 0x1_0000_0008, 2_114_060_288, 1 << 32]
      var differences: [String] = []
      for architecture in architectures {
        for number in Array(0..<520 as Range<UInt32>) + Array(0x4000_0000..<0x4000_0240) + [0x7fff_ffff, .max] {
          for value in values {
            let arguments = [value, value, value, 0, 0, 0]
            let first = verdict(with, number: number, architecture: architecture, arguments: arguments)
            let second = verdict(without, number: number, architecture: architecture, arguments: arguments)
            if first != second || first == nil {
              differences.append(
                "\(architecture) \(number) \(value): \(String(describing: first)) \(String(describing: second))")
            }
          }
        }
      }
      #expect(differences.isEmpty, "\(differences.count) such as \(differences.prefix(5))")
    }
  }
}

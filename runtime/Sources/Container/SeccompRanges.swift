import CSeccomp
import Glibc
import RuntimeSpec

/// The part of a filter that allows whole ranges of system calls.
///
/// libseccomp emits one comparison per call and architecture: about 1,900 instructions for Docker's profile, which the
/// kernel checks and translates for every process that gets it (0.4 ms). Most of the calls are allowed whatever their
/// arguments, and their numbers lie side by side: as ranges they are a tenth of that, and libseccomp gets the rest.
struct SeccompRanges {
  /// struct sock_filter.
  typealias Instruction = (code: UInt16, yes: UInt8, no: UInt8, operand: UInt32)

  private(set) var instructions: [Instruction] = []
  /// The calls libseccomp need not know.
  private(set) var covered: Set<String> = []

  private static let allow: UInt32 = 0x7fff_0000
  /// Calls that some processors also, or only, reach by socketcall(2) and ipc(2).
  private static let multiplexed: Set<String> = [
    "socket", "bind", "connect", "listen", "accept", "accept4", "getsockname", "getpeername", "socketpair", "send",
    "recv", "sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "recvmmsg", "sendmmsg",
    "semop", "semget", "semctl", "semtimedop", "msgsnd", "msgrcv", "msgget", "msgctl", "shmat", "shmdt", "shmget",
    "shmctl",
  ]

  init(_ profile: LinuxSeccomp, architectures: [UInt32]) {
    // Only calls about which nothing else is said.
    var names: Set<String> = []
    for rule in profile.syscalls where rule.action == "SCMP_ACT_ALLOW" && rule.args.isEmpty {
      names.formUnion(rule.names)
    }
    for rule in profile.syscalls where rule.action != "SCMP_ACT_ALLOW" || !rule.args.isEmpty {
      names.subtract(rule.names)
    }
    guard profile.defaultAction != "SCMP_ACT_ALLOW", !names.isEmpty else { return }
    // Where a processor lacks a call, or has another way to it, libseccomp knows what else to allow.
    covered = names.filter { name in
      !Self.multiplexed.contains(name)
        && architectures.allSatisfy { seccomp_syscall_resolve_name_arch($0, name) >= 0 }
    }
    let x32 = seccomp_arch_resolve_name("x32")
    let native = seccomp_arch_resolve_name("x86_64")
    for architecture in architectures where architecture != x32 {
      var numbers = Self.numbers(of: names, for: architecture)
      // To the kernel x32 is x86-64 with a bit set in the number.
      if architecture == native, architectures.contains(x32) { numbers += Self.numbers(of: names, for: x32) }
      add(Self.ranges(numbers), architecture: architecture)
    }
  }

  private static func numbers(of names: Set<String>, for architecture: UInt32) -> [UInt32] {
    names.compactMap { name in
      let number = seccomp_syscall_resolve_name_arch(architecture, name)
      // Negative ones are libseccomp's names for calls that this architecture does not have.
      return number < 0 ? nil : UInt32(number)
    }
  }

  static func ranges(_ numbers: [UInt32]) -> [ClosedRange<UInt32>] {
    var ranges: [ClosedRange<UInt32>] = []
    for number in Set(numbers).sorted() {
      if let last = ranges.last, last.upperBound + 1 == number {
        ranges[ranges.count - 1] = last.lowerBound...number
      } else {
        ranges.append(number...number)
      }
    }
    return ranges
  }

  private mutating func add(_ ranges: [ClosedRange<UInt32>], architecture: UInt32) {
    // A conditional jump reaches 255 instructions: chunks with an answer of their own.
    for start in stride(from: 0, to: ranges.count, by: 100) {
      let chunk = Array(ranges[start..<min(start + 100, ranges.count)])
      let search = Self.search(chunk)
      instructions.append((0x20, 0, 0, 4))  // load the architecture
      instructions.append((0x15, 0, UInt8(search.count + 4), architecture))  // another one: on behind this chunk
      instructions.append((0x20, 0, 0, 0))  // load the number
      instructions.append((0x35, 0, UInt8(search.count), chunk[0].lowerBound))  // below all: not found
      instructions += search
      instructions.append((0x05, 0, 0, 1))  // not found: over the answer
      instructions.append((0x06, 0, 0, Self.allow))
    }
  }

  /// A binary search for the last range that begins at or below the number, which is not below all of them. The kernel
  /// tries every number when it takes a filter, to remember the answers: a list would cost it more than libseccomp's
  /// tree of single numbers. Ends by going on behind itself (not found) or one instruction further (allowed).
  private static func search(_ ranges: [ClosedRange<UInt32>]) -> [Instruction] {
    let total = ranges.count * 2 - 1
    var instructions: [Instruction] = []
    func emit(_ ranges: ArraySlice<ClosedRange<UInt32>>) {
      if ranges.count == 1, let only = ranges.first {
        let behind = UInt8(total - instructions.count - 1)
        instructions.append((0x25, behind, behind + 1, only.upperBound))
        return
      }
      let middle = ranges.startIndex + ranges.count / 2
      let left = UInt8((middle - ranges.startIndex) * 2 - 1)
      instructions.append((0x35, left, 0, ranges[middle].lowerBound))
      emit(ranges[..<middle])
      emit(ranges[middle...])
    }
    emit(ranges[...])
    return instructions
  }

  /// As the kernel reads them.
  static func bytes(_ instructions: [Instruction]) -> [UInt8] {
    instructions.flatMap { code, yes, no, operand -> [UInt8] in
      [UInt8(code & 0xff), UInt8(code >> 8), yes, no] + (0..<4).map { UInt8(truncatingIfNeeded: operand >> ($0 * 8)) }
    }
  }
}

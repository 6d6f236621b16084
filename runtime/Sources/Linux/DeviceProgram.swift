import CLinux
import Errors
import Glibc

/// The device rules of a cgroup v2 as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE, which answers 1 to allow.
///
/// The context is three words: access in the upper and type in the lower half of the first, then major and minor.
struct DeviceProgram: Equatable {
  /// struct bpf_insn: opcode, two registers, offset, immediate value.
  struct Instruction: Equatable {
    var opcode: UInt8
    var registers: UInt8
    var offset: Int16
    var immediate: Int32
  }

  private(set) var instructions: [Instruction] = []

  // Opcodes (linux/bpf.h): class, operation and operand in one byte.
  private static let loadWord: UInt8 = 0x61  // LDX | MEM | W
  private static let and: UInt8 = 0x54  // ALU | AND | K, 32 bit
  private static let shiftRight: UInt8 = 0x74  // ALU | RSH | K, 32 bit
  private static let move: UInt8 = 0xb7  // ALU64 | MOV | K
  private static let copy: UInt8 = 0xbc  // ALU | MOV | X, 32 bit
  private static let jumpUnequal: UInt8 = 0x55  // JMP | JNE | K
  private static let jumpUnequalRegister: UInt8 = 0x5d  // JMP | JNE | X
  private static let jumpEqual: UInt8 = 0x15  // JMP | JEQ | K
  private static let exit: UInt8 = 0x95

  init(rules: [CgroupResources.DeviceRule]) {
    // r2: type, r3: access, r4: major, r5: minor.
    emit(Self.loadWord, destination: 2, source: 1, offset: 0)
    emit(Self.copy, destination: 3, source: 2)
    emit(Self.and, destination: 2, immediate: 0xffff)
    emit(Self.shiftRight, destination: 3, immediate: 16)
    emit(Self.loadWord, destination: 4, source: 1, offset: 4)
    emit(Self.loadWord, destination: 5, source: 1, offset: 8)
    // The last rule that matches decides: tried from the end, the first that matches returns.
    for rule in rules.reversed() {
      add(rule)
      if rule.kind == .all && rule.major == nil && rule.minor == nil { return }
    }
    answer(false)
  }

  private mutating func add(_ rule: CgroupResources.DeviceRule) {
    var exits: [Int] = []
    func mark() -> Int { instructions.count }
    if rule.kind != .all {
      // BPF_DEVCG_DEV_BLOCK 1, BPF_DEVCG_DEV_CHAR 2
      exits.append(mark())
      emit(Self.jumpUnequal, destination: 2, immediate: rule.kind == .block ? 1 : 2)
    }
    let access = Self.access(rule.access)
    if access != 7 {
      emit(Self.copy, destination: 1, source: 3)
      emit(Self.and, destination: 1, immediate: access)
      exits.append(mark())
      if rule.allow {
        // Allowed when nothing beyond the rule is asked for.
        emit(Self.jumpUnequalRegister, destination: 1, source: 3)
      } else {
        // Denied when anything of the rule is asked for.
        emit(Self.jumpEqual, destination: 1, immediate: 0)
      }
    }
    if let major = rule.major {
      exits.append(mark())
      emit(Self.jumpUnequal, destination: 4, immediate: Int32(truncatingIfNeeded: major))
    }
    if let minor = rule.minor {
      exits.append(mark())
      emit(Self.jumpUnequal, destination: 5, immediate: Int32(truncatingIfNeeded: minor))
    }
    answer(rule.allow)
    for exit in exits { instructions[exit].offset = Int16(instructions.count - exit - 1) }
  }

  /// BPF_DEVCG_ACC_MKNOD 1, READ 2, WRITE 4.
  static func access(_ letters: String) -> Int32 {
    letters.utf8.reduce(0) { bits, letter in
      switch letter {
      case UInt8(ascii: "m"): bits | 1
      case UInt8(ascii: "r"): bits | 2
      case UInt8(ascii: "w"): bits | 4
      default: bits
      }
    }
  }

  private mutating func answer(_ allow: Bool) {
    emit(Self.move, destination: 0, immediate: allow ? 1 : 0)
    emit(Self.exit)
  }

  private mutating func emit(
    _ opcode: UInt8, destination: UInt8 = 0, source: UInt8 = 0, offset: Int16 = 0, immediate: Int32 = 0
  ) {
    instructions.append(
      Instruction(opcode: opcode, registers: source << 4 | destination, offset: offset, immediate: immediate))
  }

  /// Loads the program; throws with the verifier's words when the kernel refuses it.
  func load() throws(ApusError) -> OwnedDescriptor {
    let program = instructions.withUnsafeBytes {
      clinux_bpf_load_cgroup_device($0.baseAddress, instructions.count, nil, 0)
    }
    return OwnedDescriptor(owning: try check(program, "cannot load a device program of \(instructions.count) steps"))
  }
}

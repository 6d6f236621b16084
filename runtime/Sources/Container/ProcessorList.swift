import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// A list of processors or memory nodes such as `0-3,7`, as the kernel takes it: a bit for each.
struct ProcessorList: Sendable, Equatable {
  /// What no kernel has more of.
  private static let limit = 8192

  private(set) var mask: [UInt8]

  /// - Parameter field: where the list is from, for the sentence.
  init(_ text: String, field: String) throws(ApusError) {
    mask = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { end in
        UInt16(end.filter { $0 != " " && $0 != "\n" })
      }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last, last < Self.limit else {
        throw ApusError(.invalidArgument, "\(field): \"\(text)\" is not a list such as 0-3,7")
      }
      // Whole words: what the kernel reads.
      let size = (Int(last) / 64 + 1) * 8
      if mask.count < size { mask += [UInt8](repeating: 0, count: size - mask.count) }
      for number in first...last { mask[Int(number) / 8] |= 1 << UInt8(number % 8) }
    }
  }

  /// Lets the calling process run on these processors only.
  func applyAsAffinity(_ field: String) throws(ApusError) {
    try check(clinux_sched_setaffinity(mask, mask.count), "cannot use the processors of \(field)")
  }
}

/// From which memory nodes a container's memory comes (config-linux.md, Memory policy).
struct MemoryPolicy: Sendable, Equatable {
  private let mode: Int32
  private let nodes: ProcessorList?

  private static let modes: [String: Int32] = [
    "MPOL_DEFAULT": 0, "MPOL_PREFERRED": 1, "MPOL_BIND": 2, "MPOL_INTERLEAVE": 3, "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5, "MPOL_WEIGHTED_INTERLEAVE": 6,
  ]
  private static let flags: [String: Int32] = [
    "MPOL_F_NUMA_BALANCING": 1 << 13, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_STATIC_NODES": 1 << 15,
  ]

  init(_ policy: LinuxMemoryPolicy) throws(ApusError) {
    guard var mode = Self.modes[policy.mode] else {
      throw ApusError(.invalidArgument, "linux.memoryPolicy.mode: there is no policy \"\(policy.mode)\"")
    }
    for name in policy.flags {
      guard let flag = Self.flags[name] else {
        throw ApusError(.invalidArgument, "linux.memoryPolicy.flags: there is no flag \"\(name)\"")
      }
      mode |= flag
    }
    self.mode = mode
    nodes = policy.nodes.isEmpty ? nil : try ProcessorList(policy.nodes, field: "linux.memoryPolicy.nodes")
  }

  func apply() throws(ApusError) {
    let mask = nodes?.mask ?? []
    try check(
      clinux_set_memory_policy(mode, mask, UInt(mask.count * 8)), "cannot apply linux.memoryPolicy")
  }
}

/// The execution domain of a process (config-linux.md, Personality; personality(2)).
enum ExecutionDomain {
  static func number(_ personality: LinuxPersonality) throws(ApusError) -> UInt {
    guard personality.flags.isEmpty else {
      throw ApusError(.invalidArgument, "linux.personality.flags: the specification has no flags yet")
    }
    switch personality.domain {
    case "LINUX": return 0
    case "LINUX32": return 8
    default:
      throw ApusError(.invalidArgument, "linux.personality.domain: there is no domain \"\(personality.domain)\"")
    }
  }
}

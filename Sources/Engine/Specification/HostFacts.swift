import Errors
import Glibc
import Linux

/// The host as far as requests are checked against it and sandboxes are made for it. A value, so that tests can be on
/// any host.
public struct HostFacts: Sendable {
  /// Go's name of the processor.
  public var architecture: String
  public var kernel: KernelVersion
  /// CPUs and memory nodes that are online.
  public var cpus: IndexList
  public var memoryNodes: IndexList
  /// cgroup v2 alone; otherwise v1 or hybrid.
  public var unifiedCgroups: Bool
  /// What can be given to a container: the daemon's own bounding set.
  public var capabilities: Capabilities
  /// Hard limits may be raised and oom_score_adj lowered.
  public var mayRaiseLimits: Bool
  public var oomScoreAdjustment: Int
  public var supportsSwapLimit: Bool
  public var supportsSwappiness: Bool
  public var supportsOOMKillDisable: Bool
  public var supportsBlockWeight: Bool
  public var supportsPingGroupRange: Bool
  public var supportsUnprivilegedPortStart: Bool
  public var supportsAppArmor: Bool
  /// The profile of instances that name none; nil: it is not loaded.
  public var defaultAppArmorProfile: String?
  /// Directories under /sys/devices/system/cpu whose counters tell a neighbour what this CPU does.
  public var thermalThrottlePaths: [String]

  /// Processors the daemon may count on.
  public var cpuCount: Int { max(1, cpus.count) }

  /// This host, examined once.
  public static let current = HostFacts()

  /// The host that this process runs on, examined now.
  public init() {
    func text(_ path: String) -> String {
      (try? Files.read(path, limit: 1 << 16)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
    var names = utsname()
    uname(&names)
    let release = withUnsafeBytes(of: &names.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    kernel = KernelVersion(release) ?? KernelVersion(major: 5, minor: 0)
    #if arch(x86_64)
      architecture = "amd64"
    #elseif arch(arm64)
      architecture = "arm64"
    #else
      architecture = "unknown"
    #endif
    cpus = IndexList(text("/sys/devices/system/cpu/online")) ?? IndexList(0...0)
    memoryNodes = IndexList(text("/sys/devices/system/node/online")) ?? IndexList(0...0)
    // With v1 or both this directory is a tmpfs with one directory per hierarchy.
    unifiedCgroups = Files.exists("/sys/fs/cgroup/cgroup.controllers")

    var bounding: UInt64 = 0
    for line in text("/proc/self/status").split(separator: "\n") where line.hasPrefix("CapBnd:") {
      bounding = UInt64(line.dropFirst(7).drop { $0 == "\t" || $0 == " " }, radix: 16) ?? 0
    }
    let effective = (try? Capabilities.current()) ?? []
    capabilities = effective.intersection(Capabilities(rawValue: bounding)).intersection(.all)
    mayRaiseLimits = Capabilities(named: "SYS_RESOURCE").map { effective.contains($0) } ?? false
    oomScoreAdjustment = Int(text("/proc/self/oom_score_adj").trimmed) ?? 0

    let memory = "/sys/fs/cgroup/memory/memory."
    let block = "/sys/fs/cgroup/blkio/blkio."
    supportsSwapLimit = unifiedCgroups || Files.exists(memory + "memsw.limit_in_bytes")
    supportsSwappiness = !unifiedCgroups && Files.exists(memory + "swappiness")
    supportsOOMKillDisable = !unifiedCgroups && Files.exists(memory + "oom_control")
    supportsBlockWeight = unifiedCgroups || Files.exists(block + "weight") || Files.exists(block + "bfq.weight")
    supportsPingGroupRange = Files.exists("/proc/sys/net/ipv4/ping_group_range")
    supportsUnprivilegedPortStart = Files.exists("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    supportsAppArmor = AppArmor.isEnabled
    defaultAppArmorProfile = AppArmor.isLoaded(AppArmor.defaultProfile) ? AppArmor.defaultProfile : nil
    thermalThrottlePaths = cpus.indices.map { "/sys/devices/system/cpu/cpu\($0)/thermal_throttle" }
      .filter(Files.exists)
  }
}

/// The first two numbers of a kernel's release.
public struct KernelVersion: Sendable, Comparable {
  public var major: Int
  public var minor: Int

  public init(major: Int, minor: Int) {
    self.major = major
    self.minor = minor
  }

  /// From `6.18.0-5-cloud`, `4.8`; nil when it starts otherwise.
  public init?(_ text: String) {
    let numbers = text.split(separator: ".", maxSplits: 2).prefix(2)
    guard numbers.count == 2, let major = Int(numbers[0]), let second = numbers.last,
      let minor = Int(second.prefix { $0.isASCII && $0.isNumber }), major >= 0
    else { return nil }
    self.init(major: major, minor: minor)
  }

  public static func < (left: KernelVersion, right: KernelVersion) -> Bool {
    (left.major, left.minor) < (right.major, right.minor)
  }
}

/// Numbers in the kernel's list form: `0-3,7`.
public struct IndexList: Sendable, Equatable, CustomStringConvertible {
  /// More CPUs than Linux supports: a bound for what a client can make us allocate.
  static let limit = 8192
  /// Ascending, without duplicates.
  public let indices: [Int]
  private let text: String

  public init(_ range: ClosedRange<Int>) {
    indices = Array(range)
    text = range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
  }

  /// nil when it is not of that form, or names a number of 8,192 or more.
  public init?(_ text: String) {
    var found: Set<Int> = []
    for part in text.trimmed.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
      guard let first = ends.first.flatMap({ Int($0) }), let last = ends.last.flatMap({ Int($0) }), first >= 0,
        first <= last, last < Self.limit
      else { return nil }
      found.formUnion(first...last)
    }
    indices = found.sorted()
    self.text = text.trimmed
  }

  public var count: Int { indices.count }
  public var description: String { text }
  public func isSubset(of other: IndexList) -> Bool { Set(indices).isSubset(of: other.indices) }
}

extension StringProtocol {
  /// Without the white space around it.
  var trimmed: String {
    var rest = self[...]
    while let first = rest.first, first.isWhitespace { rest.removeFirst() }
    while let last = rest.last, last.isWhitespace { rest.removeLast() }
    return String(rest)
  }
}

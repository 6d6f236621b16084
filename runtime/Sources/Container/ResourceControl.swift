import Errors
import Glibc
import Linux
import RuntimeSpec

/// Shares of caches and memory bandwidth (config-linux.md, IntelRdt): groups of the kernel's resctrl file system, which
/// whoever wants them has mounted (the kernel's Documentation/arch/x86/resctrl.rst).
public struct ResourceControl: Sendable {
  public static let mountPoint = "/sys/fs/resctrl"

  private let root: String

  public init(root: String = ResourceControl.mountPoint) { self.root = root }

  /// What can be wrong with a request before there is a process.
  func validate(_ rdt: LinuxIntelRdt) throws(ApusError) {
    guard Files.exists("\(root)/schemata") else {
      throw ApusError(
        .unsupported,
        "linux.intelRdt: this host has no resctrl file system mounted at \(root); mount it, or leave it out")
    }
    let taken = ["info", "mon_data", "mon_groups"]
    guard !rdt.closID.contains("/"), rdt.closID.first != ".", !taken.contains(rdt.closID), rdt.closID.utf8.count < 256
    else {
      throw ApusError(.invalidArgument, "linux.intelRdt.closID: \"\(rdt.closID)\" is not the name of a group")
    }
    guard rdt.closID.isEmpty || rdt.hasLimits || Files.exists("\(root)/\(rdt.closID)") else {
      throw ApusError(
        .notFound, "linux.intelRdt.closID: there is no group \(rdt.closID) at \(root); give limits, and it is made")
    }
  }

  /// Makes the group, or finds it, and brings a process into it, whose children will be in it too.
  /// - Returns: the group's name, and whether it goes with the container.
  func enter(_ rdt: LinuxIntelRdt, id: String, process: pid_t) throws(ApusError) -> (group: String, isOwn: Bool) {
    // Who has named a class of service shares it with others.
    let isOwn = rdt.closID.isEmpty
    let group = isOwn ? id : rdt.closID
    let isNew = mkdir("\(root)/\(group)", 0o755) == 0
    if !isNew, errno != EEXIST {
      let why = errno
      guard why != ENOSPC else {
        throw ApusError(
          .resourceExhausted, "linux.intelRdt: the processor has no class of service left for the group \(group)")
      }
      throw ApusError(errno: why, "linux.intelRdt: cannot make the group \(group) at \(root)")
    }
    do throws(ApusError) {
      if isNew || isOwn {
        try set(rdt, of: group)
      } else {
        try compare(rdt, with: group)
      }
      try write("\(process)", to: "tasks", of: group)
    } catch {
      if isNew { _ = rmdir("\(root)/\(group)") }
      throw error
    }
    return (group, isOwn)
  }

  /// Changes the limits of a group.
  public func set(_ rdt: LinuxIntelRdt, of group: String) throws(ApusError) {
    let lines = rdt.lines
    guard !lines.isEmpty else { return }
    try write(lines.joined(separator: "\n") + "\n", to: "schemata", of: group)
  }

  /// Removes a group; one that is gone is fine.
  public func remove(_ group: String) throws(ApusError) {
    if rmdir("\(root)/\(group)") < 0, errno != ENOENT {
      throw ApusError(errno: errno, "cannot remove the group \(group) at \(root)")
    }
  }

  /// Throws where an existing group does not have the limits that are asked for.
  private func compare(_ rdt: LinuxIntelRdt, with group: String) throws(ApusError) {
    let bytes = try Files.read("\(root)/\(group)/schemata", limit: 1 << 16)
    let present = Set(String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(Self.normalized))
    for line in rdt.lines where !present.contains(Self.normalized(line[...])) {
      throw ApusError(
        .conflict, "linux.intelRdt.closID: the group \(group) exists and does not have the limit \(line)")
    }
  }

  /// The kernel writes blanks, and leading zeros.
  private static func normalized(_ line: Substring) -> String {
    let parts = line.split(separator: ":", maxSplits: 1)
    guard parts.count == 2 else { return String(line) }
    let shares = parts[1].split(separator: ";").map { share in
      share.split(separator: "=").map { part in
        let text = part.filter { $0 != " " }
        let short = text.drop { $0 == "0" }
        return short.isEmpty ? "0" : String(short)
      }.joined(separator: "=")
    }
    return "\(parts[0].filter { $0 != " " }):\(shares.joined(separator: ";"))"
  }

  private func write(_ text: String, to name: String, of group: String) throws(ApusError) {
    do throws(ApusError) {
      let file = try Files.open("\(root)/\(group)/\(name)", flags: O_WRONLY | O_CREAT, mode: 0o644)
      try Files.write(Array(text.utf8), to: file.raw, name: "\(name) of the group \(group)")
    } catch {
      let status = (try? Files.read("\(root)/info/last_cmd_status", limit: 4096)) ?? []
      let reason = String(decoding: status.prefix { $0 != 0x0a }, as: UTF8.self)
      let shown = text.split(separator: "\n").joined(separator: ", ")
      throw ApusError(
        error.code,
        "linux.intelRdt: cannot write \"\(shown)\" to \(name) of the group \(group): "
          + (reason.isEmpty || reason == "ok" ? error.message : reason), cause: error.cause)
    }
  }
}

extension LinuxIntelRdt {
  var hasLimits: Bool { !lines.isEmpty }

  /// The lines for `schemata`. Bandwidth has a field of its own, and what `l3CacheSchema` says of it gives way.
  var lines: [String] {
    let cache = l3CacheSchema.split(separator: "\n").filter { memBwSchema.isEmpty || !$0.hasPrefix("MB:") }
    return (cache + memBwSchema.split(separator: "\n")).map(String.init) + schemata
  }
}

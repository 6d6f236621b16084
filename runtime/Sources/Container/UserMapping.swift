import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// Whose ids are whose in a new user namespace (user_namespaces(7)): written by its parent, or for an ordinary user by
/// programs that may do what their caller may not, within /etc/subuid and /etc/subgid (newuidmap(1), newgidmap(1)).
extension Namespaces {
  /// Maps users and groups of the new user namespace of `process`; to be called by its parent.
  static func map(
    users: [LinuxIDMapping], groups: [LinuxIDMapping], of process: pid_t
  ) throws(ApusError) {
    func lines(_ mappings: [LinuxIDMapping]) -> String {
      mappings.map { "\($0.containerID) \($0.hostID) \($0.size)\n" }.joined()
    }
    if geteuid() != 0 {
      func isOwn(_ mappings: [LinuxIDMapping], _ id: UInt32) -> Bool {
        mappings.count == 1 && mappings[0].size == 1 && mappings[0].hostID == id
      }
      guard isOwn(users, geteuid()), isOwn(groups, getegid()) else {
        // Found before anything is mapped: a namespace with one of the two maps is good for nothing.
        let (groupMapper, userMapper) = (try mapper("newgidmap"), try mapper("newuidmap"))
        try map(by: groupMapper, groups, of: process, field: "linux.gidMappings", ranges: "/etc/subgid")
        return try map(by: userMapper, users, of: process, field: "linux.uidMappings", ranges: "/etc/subuid")
      }
      // What the kernel wants of somebody who maps nobody but himself: otherwise leaving a group that is denied something
      // would be a way around it (CVE-2014-8989).
      try Files.write("deny", toExisting: "/proc/\(process)/setgroups")
    }
    try Files.write(lines(groups), toExisting: "/proc/\(process)/gid_map")
    try Files.write(lines(users), toExisting: "/proc/\(process)/uid_map")
  }

  /// Where the caller would find it.
  private static func mapper(_ program: String) throws(ApusError) -> String {
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    let directories = path.split(separator: ":").filter { $0.hasPrefix("/") } + ["/usr/bin", "/bin"]
    guard let directory = directories.first(where: { access("\($0)/\(program)", X_OK) == 0 }) else {
      throw ApusError(
        .notFound,
        "cannot map more ids than this user's own: the program \(program), which does so within /etc/subuid and "
          + "/etc/subgid, is not installed (package uidmap)")
    }
    return "\(directory)/\(program)"
  }

  private static func map(
    by program: String, _ mappings: [LinuxIDMapping], of process: pid_t, field: String, ranges: String
  ) throws(ApusError) {
    let numbers = mappings.flatMap { [String($0.containerID), String($0.hostID), String($0.size)] }
    var pipe = try Pipe()
    let child = try Spawn.process(
      program, arguments: [program, String(process)] + numbers, descriptors: [(ours: pipe.writeEnd.raw, theirs: 2)],
      newSession: false)
    pipe.writeEnd = OwnedDescriptor(owning: -1)
    let said = try? Files.read(descriptor: pipe.readEnd.raw, limit: 4096, name: "what \(program) says")
    guard try Processes.wait(for: child)?.code == 0 else {
      let reason = said.flatMap { $0.split(separator: 0x0a).first.map { String(decoding: $0, as: UTF8.self) } }
      throw ApusError(
        .permissionDenied,
        "\(field): not all of these ids are this user's own or given to it in \(ranges)"
          + (reason.map { " (\($0))" } ?? ""))
    }
  }
}

import RuntimeSpec

/// Options of a tmpfs (`--tmpfs /t:size=1m,noexec`, `--mount type=tmpfs,…`).
enum TmpfsOptions {
  /// An option and the ones it takes back.
  private static let opposites: [String: Set<String>] = {
    var map: [String: Set<String>] = [:]
    for (on, off) in [
      ("exec", "noexec"), ("suid", "nosuid"), ("dev", "nodev"), ("rw", "ro"), ("async", "sync"), ("atime", "noatime"),
      ("diratime", "nodiratime"), ("relatime", "norelatime"), ("strictatime", "nostrictatime"),
    ] {
      map[on, default: []].insert(off)
      map[off, default: []].insert(on)
    }
    return map
  }()
  private static let plain: Set<String> = [
    "defaults", "dirsync", "remount", "mand", "nomand", "private", "rprivate", "shared", "rshared", "slave", "rslave",
    "unbindable", "runbindable", "huge",
  ]
  private static let keys: Set<String> = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"]

  static func isAllowed(_ option: String) -> Bool {
    guard !option.utf8.contains(0), !option.contains(",") else { return false }
    if option.isEmpty || plain.contains(option) || opposites[option] != nil { return true }
    guard let equals = option.firstIndex(of: "=") else { return false }
    return keys.contains(String(option[..<equals]))
  }

  /// All options, what was asked for winning over `noexec,nosuid,nodev`.
  static func merged(_ mount: MountConfiguration) -> [String] {
    var asked = mount.options.filter { !$0.isEmpty && $0 != "defaults" }
    if mount.readOnly { asked.append("ro") }
    if let mode = mount.tmpfsMode { asked.append("mode=" + String(mode, radix: 8)) }
    if let size = mount.tmpfsSize, size > 0 { asked.append("size=\(size)") }
    var result: [String] = []
    for option in ["noexec", "nosuid", "nodev"] + asked {
      let key = option.prefix { $0 != "=" }
      let undone = opposites[option] ?? []
      result.removeAll {
        $0 == option || undone.contains($0) || (option.contains("=") && $0.prefix { $0 != "=" } == key)
      }
      result.append(option)
    }
    return result
  }
}

extension MountSpec {
  /// A bind of a volume or a directory of the host. Read-only is all of it, also what is mounted below the source; one that
  /// is not said to be stays what its source is.
  init(bind mount: ResolvedMount, nonRecursive: Bool) {
    var options = [nonRecursive ? "bind" : "rbind"]
    if mount.readOnly { options += nonRecursive ? ["ro"] : ["ro", "rro"] }
    options.append(mount.propagation.isEmpty ? "rprivate" : mount.propagation)
    self.init(destination: mount.target, type: "bind", source: mount.source, options: options)
  }
}

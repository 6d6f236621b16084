import Glibc

/// Where the calling process stands among user namespaces (user_namespaces(7)).
public enum UserNamespace {
  /// Whether it is root with the host's rights, as opposed to an ordinary user or to root in some user namespace, as
  /// rootless engines start their runtime. Asked once: for a process that does not change user or namespace.
  public static let isHostRoot: Bool = {
    guard geteuid() == 0 else { return false }
    guard let bytes = try? Files.read("/proc/self/uid_map", limit: 4096) else { return true }
    let fields = String(decoding: bytes, as: UTF8.self).split { $0 == " " || $0 == "\n" }
    // All ids, each its own.
    return fields == ["0", "0", "4294967295"]
  }()
}

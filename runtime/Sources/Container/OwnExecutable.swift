import CLinux
import Errors
import Glibc
import Linux

/// The file this program runs from, which a container must not be able to reach for writing.
///
/// A container can have the runtime execute `/proc/self/exe`, and thereby hold a descriptor of the runtime's own file
/// (CVE-2019-5736). Run from a read-only mount, or from sealed memory, that descriptor is good for nothing.
public enum OwnExecutable {
  /// Whether the file cannot be written to through /proc/self/exe.
  public static var isProtected: Bool {
    var status = statfs()
    // ST_RDONLY
    if statfs("/proc/self/exe", &status) == 0, status.f_flags & 1 != 0 { return true }
    guard let own = try? Files.open("/proc/self/exe", flags: O_RDONLY) else { return false }
    return clinux_fcntl(own.raw, Seals.get, 0) == Int32(Seals.all)
  }

  /// Executes this program again, from a read-only mount of its file or (without the right to mount) from a sealed copy
  /// in memory. Returns only when that has been done already. Call it before anything else is done.
  public static func protect(arguments: [String]) throws(ApusError) {
    guard !isProtected else { return }
    let mount = try readOnlyMount()
    let file = if let mount { mount } else { try sealedCopy() }
    let environment = try Files.read("/proc/self/environ", limit: 8 << 20).split(separator: 0).map {
      String(decoding: $0, as: UTF8.self)
    }
    let descriptor = file.raw
    let why = withCStrings(arguments) { argv in
      withCStrings(environment) { envp -> Int32 in
        clinux_execveat(descriptor, argv, envp)
        return errno
      }
    }
    throw ApusError(errno: why, "cannot execute this program again from where containers cannot change it")
  }

  /// Nil without the right to it.
  private static func readOnlyMount() throws(ApusError) -> OwnedDescriptor? {
    do throws(ApusError) {
      let copy = try Mounts.clone("/proc/self/exe")
      try Mounts.setAttributes(at: copy.raw, "", set: .readOnly)
      return copy
    } catch  where error.errno == EPERM || error.errno == EACCES || error.errno == ENOSYS || error.errno == EINVAL {
      return nil
    }
  }

  private static func sealedCopy() throws(ApusError) -> OwnedDescriptor {
    let memory = OwnedDescriptor(
      owning: try check(
        memfd_create("runtime", UInt32(MFD_CLOEXEC) | UInt32(MFD_ALLOW_SEALING)), "cannot make a file in memory"))
    let own = try Files.open("/proc/self/exe", flags: O_RDONLY)
    var rest = Int(try Files.status(own.raw).st_size)
    while rest > 0 {
      let copied = try check(sendfile(memory.raw, own.raw, nil, rest), "cannot copy this program into memory")
      guard copied > 0 else {
        throw ApusError(.internal, "cannot copy this program into memory: it has become shorter")
      }
      rest -= copied
    }
    try check(clinux_fcntl(memory.raw, Seals.add, Seals.all), "cannot seal a copy of this program")
    return memory
  }

  /// fcntl(2), File Sealing.
  private enum Seals {
    static let add: Int32 = 1033
    static let get: Int32 = 1034
    /// Sealing, shrinking, growing, writing.
    static let all = 0xf
  }
}

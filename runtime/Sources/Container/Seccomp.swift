import CLinux
import CSeccomp
import Errors
import Glibc
import Linux
import RuntimeSpec

/// System call filters (config-linux.md, Seccomp): compiled by libseccomp, kept compiled on disk.
enum Seccomp {
  /// Changes whenever the same configuration would compile to something else.
  private static let version: UInt8 = 3
  private static let instructionSize = 8

  /// The program for a configuration: from the cache if it is there, which compares all of the configuration's bytes.
  static func program(_ profile: LinuxSeccomp, cacheDirectory: String?) throws(ApusError) -> [UInt8] {
    guard let cacheDirectory else { return try compile(profile) }
    let key = key(of: profile)
    let path = "\(cacheDirectory)/\(name(of: key))"
    if let bytes = try? Files.read(path, limit: 4 << 20), let program = cached(bytes, key: key) { return program }
    let program = try compile(profile)
    var bytes = key
    withUnsafeBytes(of: UInt64(key.count).littleEndian) { bytes += $0 }
    bytes += program
    // A cache that cannot be written costs time, not correctness.
    try? Files.writeAtomically(bytes, to: path, mode: 0o600)
    return program
  }

  /// A cache file is the key, the program, and the key's length at the very end of both: `key length program`.
  static func cached(_ bytes: [UInt8], key: [UInt8]) -> [UInt8]? {
    guard bytes.count > key.count + 8, bytes.starts(with: key) else { return nil }
    let length = bytes[key.count..<(key.count + 8)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let program = bytes[(key.count + 8)...]
    guard length == UInt64(key.count), !program.isEmpty, program.count % instructionSize == 0 else { return nil }
    return Array(program)
  }

  private static func key(of profile: LinuxSeccomp) -> [UInt8] {
    let library = seccomp_version().pointee
    let prefix = [version, UInt8(truncatingIfNeeded: library.major), UInt8(truncatingIfNeeded: library.minor)]
    return prefix + [UInt8(truncatingIfNeeded: library.micro)] + profile.json()
  }

  /// FNV-1a. Only a name: what is in the file is compared byte by byte.
  private static func name(of key: [UInt8]) -> String {
    let hash = key.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return "\(String(hash, radix: 16)).bpf"
  }

  static func load(_ program: [UInt8], flags: UInt32) throws(ApusError) {
    guard !program.isEmpty else { return }
    let loaded = program.withUnsafeBytes {
      clinux_seccomp_load($0.baseAddress, $0.count / instructionSize, flags)
    }
    try check(loaded, "cannot install the system call filter")
  }

  /// SECCOMP_FILTER_FLAG_* by the specification's names.
  static func flags(_ profile: LinuxSeccomp) throws(ApusError) -> UInt32 {
    // Speculative store bypass stays as the program itself wants it: what all runtimes do, unless told otherwise.
    if profile.flags.isEmpty { return 4 }
    var flags: UInt32 = 0
    for flag in profile.flags {
      switch flag {
      case "SECCOMP_FILTER_FLAG_TSYNC": flags |= 1
      case "SECCOMP_FILTER_FLAG_LOG": flags |= 2
      case "SECCOMP_FILTER_FLAG_SPEC_ALLOW": flags |= 4
      default: throw ApusError(.unsupported, "the seccomp flag \"\(flag)\" is not supported")
      }
    }
    return flags
  }
}

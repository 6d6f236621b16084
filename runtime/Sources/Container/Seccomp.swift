import CLinux
import CSeccomp
import Errors
import Glibc
import Linux
import RuntimeSpec

/// System call filters (config-linux.md, Seccomp): compiled by libseccomp, kept compiled on disk.
enum Seccomp {
  /// Changes whenever the same configuration would compile to something else.
  private static let version: UInt8 = 4
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

  /// The program and flags for the configuration in a file, kept compiled beside it: the file's name means its contents.
  static func program(document path: String) throws(ApusError) -> (program: [UInt8], flags: UInt32) {
    let compiled = "\(path).bpf"
    let header = libraryVersion
    if let bytes = try? Files.read(compiled, limit: 4 << 20), let known = split(bytes, header: header) { return known }
    let profile = try LinuxSeccomp(json: Files.read(path, limit: 4 << 20), subject: path)
    guard !notifies(profile) else {
      throw ApusError(.unsupported, "the system call filter \(path) asks for an agent, which a filter in a file cannot")
    }
    let flags = try flags(profile)
    let program = try compile(profile)
    let number = (0..<4).map { UInt8(truncatingIfNeeded: flags >> ($0 * 8)) }
    // A cache that cannot be written costs time, not correctness.
    try? Files.writeAtomically(header + number + program, to: compiled, mode: 0o600)
    return (program, flags)
  }

  /// A compiled program: the version, the flags (little-endian), the instructions.
  static func split(_ bytes: [UInt8], header: [UInt8]) -> (program: [UInt8], flags: UInt32)? {
    let start = header.count + 4
    guard bytes.count > start, bytes.starts(with: header), (bytes.count - start) % instructionSize == 0 else {
      return nil
    }
    let flags = bytes[header.count..<start].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    return (Array(bytes[start...]), flags)
  }

  /// A cache file is the key, the program, and the key's length at the very end of both: `key length program`.
  static func cached(_ bytes: [UInt8], key: [UInt8]) -> [UInt8]? {
    guard bytes.count > key.count + 8, bytes.starts(with: key) else { return nil }
    let length = bytes[key.count..<(key.count + 8)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let program = bytes[(key.count + 8)...]
    guard length == UInt64(key.count), !program.isEmpty, program.count % instructionSize == 0 else { return nil }
    return Array(program)
  }

  private static func key(of profile: LinuxSeccomp) -> [UInt8] { libraryVersion + profile.json() }

  /// What a compiled program depends on besides its configuration.
  private static var libraryVersion: [UInt8] {
    let library = seccomp_version().pointee
    return [version] + [library.major, library.minor, library.micro].map { UInt8(truncatingIfNeeded: $0) }
  }

  /// FNV-1a. Only a name: what is in the file is compared byte by byte.
  private static func name(of key: [UInt8]) -> String {
    let hash = key.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return "\(String(hash, radix: 16)).bpf"
  }

  /// Puts the filter in force. Returns its listener where the flags ask for one; it is close-on-exec.
  @discardableResult
  static func load(_ program: [UInt8], flags: UInt32) throws(ApusError) -> Int32? {
    guard !program.isEmpty else { return nil }
    let loaded = program.withUnsafeBytes {
      clinux_seccomp_load($0.baseAddress, $0.count / instructionSize, flags)
    }
    let result = try check(loaded, "cannot install the system call filter")
    return flags & newListener == 0 ? nil : result
  }

  /// SECCOMP_FILTER_FLAG_NEW_LISTENER
  static let newListener: UInt32 = 8

  /// Whether some call is answered by an agent.
  static func notifies(_ profile: LinuxSeccomp) -> Bool {
    profile.syscalls.contains { $0.action == "SCMP_ACT_NOTIFY" }
  }

  static let flagNumbers: [String: UInt32] = [
    "SECCOMP_FILTER_FLAG_TSYNC": 1, "SECCOMP_FILTER_FLAG_LOG": 2, "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
  ]

  /// SECCOMP_FILTER_FLAG_* by the specification's names.
  static func flags(_ profile: LinuxSeccomp) throws(ApusError) -> UInt32 {
    // Speculative store bypass stays as the program itself wants it: what all runtimes do, unless told otherwise.
    var flags: UInt32 = profile.flags.isEmpty ? 4 : 0
    for name in profile.flags {
      guard let flag = flagNumbers[name] else {
        throw ApusError(.invalidArgument, "linux.seccomp.flags: there is no flag \"\(name)\"")
      }
      flags |= flag
    }
    // Synchronizing the one thread there is does nothing, and does not go along with a listener; waiting for an agent's
    // answer needs one.
    return notifies(profile) ? (flags | newListener) & ~1 : flags & ~32
  }
}

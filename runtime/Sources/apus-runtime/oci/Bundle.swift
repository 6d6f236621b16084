import Errors
import Glibc
import Linux
import RuntimeSpec

/// An OCI bundle: a directory with a configuration and, usually, a root.
struct Bundle: Sendable {
  /// Absolute, without links.
  let path: String
  let spec: Spec
  /// The configuration as it was read: what is kept, whatever becomes of the file.
  let json: [UInt8]
  /// Absolute.
  let rootfs: String

  /// More is not a configuration.
  private static let longestConfiguration = 16 << 20

  /// - Parameter path: nil is the working directory.
  init(_ path: String?) throws(ApusError) {
    if let path { try check(chdir(path), "cannot enter the bundle \(path)") }
    self.path = try Self.workingDirectory()
    do {
      json = try Files.read("config.json", limit: Self.longestConfiguration)
    } catch  where error.errno == ENOENT {
      throw ApusError(.notFound, "JSON specification file config.json not found in \(self.path)", cause: error.cause)
    }
    var spec = try Spec(json: json, subject: "config.json")
    guard spec.ociVersion.split(separator: ".").first == "1" else {
      throw ApusError(
        .invalidArgument,
        "the specification's version \"\(spec.ociVersion)\" is not supported: ociVersion has to be 1.x.y")
    }
    guard let root = spec.root, !root.path.isEmpty else {
      throw ApusError(.invalidArgument, "config.json is not valid: root.path is missing")
    }
    rootfs = root.path.hasPrefix("/") ? root.path : "\(self.path)/\(root.path)"
    spec.root?.path = rootfs
    if let capabilities = spec.process?.capabilities { spec.process?.capabilities = capabilities.possible }
    if let resources = spec.linux?.resources { spec.linux?.resources = resources.withoutZeros }
    self.spec = spec
  }

  private static func workingDirectory() throws(ApusError) -> String {
    guard let text = getcwd(nil, 0) else { throw ApusError(errno: errno, "cannot find the bundle's path") }
    defer { free(text) }
    return String(cString: text)
  }
}

extension LinuxCapabilities {
  /// Without ambient ones that the kernel cannot raise, because they are not permitted and inheritable: the example of
  /// `spec` has had them for years, and runc leaves them out without a word.
  var possible: LinuxCapabilities {
    var capabilities = self
    capabilities.ambient = ambient.filter { permitted.contains($0) && inheritable.contains($0) }
    return capabilities
  }
}

extension LinuxResources {
  /// Callers that fill in a structure write 0 for what they mean to leave alone.
  var withoutZeros: LinuxResources {
    func given<Number: FixedWidthInteger>(_ number: Number?) -> Number? { number == 0 ? nil : number }
    var resources = self
    resources.memory?.limit = given(memory?.limit)
    resources.memory?.reservation = given(memory?.reservation)
    resources.memory?.swap = given(memory?.swap)
    resources.cpu?.shares = given(cpu?.shares)
    resources.cpu?.quota = given(cpu?.quota)
    resources.cpu?.period = given(cpu?.period)
    resources.cpu?.realtimeRuntime = given(cpu?.realtimeRuntime)
    resources.cpu?.realtimePeriod = given(cpu?.realtimePeriod)
    resources.blockIO?.weight = given(blockIO?.weight)
    if pids?.limit == 0 { resources.pids = nil }
    return resources
  }
}

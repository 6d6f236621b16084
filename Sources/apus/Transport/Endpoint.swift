import Errors
import Glibc

/// Where the daemon listens.
struct Endpoint: Sendable, Equatable {
  let path: String
  /// Whether this is the place where the command line may start a daemon itself.
  let isDefault: Bool

  static let defaultPath = "/run/apus/apus.sock"

  /// - Parameters:
  ///   - host: what `--host` said.
  ///   - environment: the value of `APUS_HOST`.
  static func resolve(host: String?, environment: String?) throws(ApusError) -> Endpoint {
    let named = [host, environment].compactMap { $0 }.first { !$0.isEmpty }
    guard let named else { return Endpoint(path: defaultPath, isDefault: true) }
    let path: String
    if named.hasPrefix("unix://") {
      path = String(named.dropFirst("unix://".count))
    } else if named.hasPrefix("/") {
      path = named
    } else if let scheme = ["tcp", "http", "https", "ssh", "npipe", "fd"].first(where: { named.hasPrefix($0 + "://") })
    {
      throw ApusError(
        .unsupported,
        "Cannot reach \(named): this version speaks to a daemon on this machine only, not by \(scheme); "
          + "use unix:///path/to/apus.sock.")
    } else {
      throw ApusError(
        .invalidArgument, "The host \(named) is not an address; write it as unix:///path/to/apus.sock.")
    }
    guard path.hasPrefix("/") else {
      throw ApusError(.invalidArgument, "The socket in \(named) must be an absolute path: unix:///path/to/apus.sock.")
    }
    guard path.utf8.count < 108 else {
      throw ApusError(
        .invalidArgument,
        "The socket path \(path) is longer than the 107 bytes the kernel allows; choose a shorter one.")
    }
    return Endpoint(path: path, isDefault: path == defaultPath && host == nil)
  }
}

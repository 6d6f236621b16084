import Errors
import Glibc
import Linux

/// Finds `apus-runtime`, which makes containers.
enum RuntimePath {
  /// - Throws: `notFound` naming where was looked.
  static func find(_ given: String?) throws(ApusError) -> String {
    if let given {
      guard given.hasPrefix("/"), access(given, X_OK) == 0 else {
        throw ApusError(.notFound, "\(given) is no executable: give the absolute path of apus-runtime with --runtime")
      }
      return given
    }
    let own = try Files.readLink("/proc/self/exe")
    let directory = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? ""
    let candidates = [
      directory + "/apus-runtime", directory + "/../libexec/apus-runtime", directory + "/../libexec/apus/apus-runtime",
    ]
    guard let found = candidates.first(where: { access($0, X_OK) == 0 }) else {
      throw ApusError(
        .notFound,
        "apus-runtime is neither beside apusd in \(directory) nor in ../libexec: install it, or say --runtime")
    }
    return found
  }
}

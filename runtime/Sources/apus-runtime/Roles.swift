import Glibc

/// The roles of this executable. One file for all of them: every shim shares its pages, and container set-up is the same
/// code on the host and in a virtual machine.
enum Roles {
  static let version = "0.1.0"

  static func run(_ arguments: [String]) -> Int32 {
    guard arguments.dropFirst().first == "shim" else { return OCIRole.run(Array(arguments.dropFirst())) }
    guard arguments.count == 3, !arguments[2].isEmpty else {
      complain("usage: apus-runtime shim ID keeps one container; it is started by apusd")
      return 125
    }
    return ShimRole.run(id: arguments[2])
  }
}

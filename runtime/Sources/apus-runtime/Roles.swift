import Glibc

/// The roles of this executable. One file for all of them: every shim shares its pages, and container set-up is the same
/// code on the host and in a virtual machine.
enum Roles {
  static let version = "0.1.0"

  private static let usage = """
    usage: apus-runtime shim ID        keep one container; started by apusd
           apus-runtime --version
    """

  static func run(_ arguments: [String]) -> Int32 {
    switch arguments.dropFirst().first {
    case "shim":
      guard arguments.count == 3, !arguments[2].isEmpty else { return refuse("the shim takes one container id") }
      return ShimRole.run(id: arguments[2])
    case "--version", "-v":
      print("apus-runtime version \(version)\nspec: 1.2.0")
      return 0
    case "--help", "-h":
      print(usage)
      return 0
    case nil: return refuse("a role is missing")
    case let role?: return refuse("\"\(role)\" is not supported by this build")
    }
  }

  private static func refuse(_ reason: String) -> Int32 {
    complain(reason + "\n" + usage)
    return 125
  }
}

import Errors
import ImageSpec

/// A distribution that mmdebstrap can install: its suites and keys. Where its packages are, the machine says.
struct BootstrapDistribution: Sendable {
  var name: String
  /// Tags that mean a suite.
  var suites: [String: String]
  var latest: String
  var components: [String]
  var keyring: String
  /// What to install where the keyring is missing.
  var keyringPackage: String
  /// Suites that have no `-updates` and `-security`.
  var rolling: Set<String>

  static let debian = BootstrapDistribution(
    name: "debian",
    suites: [
      "10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky", "stable": "stable",
      "testing": "testing", "unstable": "unstable", "sid": "sid",
    ],
    latest: "stable", components: ["main"], keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
    keyringPackage: "debian-archive-keyring", rolling: ["unstable", "sid", "experimental"])

  static let ubuntu = BootstrapDistribution(
    name: "ubuntu",
    suites: [
      "20.04": "focal", "22.04": "jammy", "24.04": "noble", "25.04": "plucky", "25.10": "questing", "26.04": "resolute",
    ],
    latest: "noble", components: ["main", "restricted", "universe", "multiverse"],
    keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg", keyringPackage: "ubuntu-keyring", rolling: [])

  /// The distribution and suite that a reference like `debian:12`, `debian:trixie-slim` or `local/ubuntu:noble` means.
  /// - Throws: `invalidArgument` for a name that is no distribution's, or a tag that is no suite.
  static func find(_ reference: Reference, suite: String?) throws(ApusError) -> (BootstrapDistribution, suite: String) {
    let name = reference.path.split(separator: "/").last.map(String.init) ?? ""
    let tag = suite ?? reference.tag ?? Reference.defaultTag
    let known = [debian, ubuntu].first { $0.name == name }
    guard let distribution = known ?? (suite == nil ? nil : guess(tag)) else {
      throw ApusError(
        .invalidArgument,
        "cannot tell which distribution '\(reference.familiar)' means: bootstrap makes images of debian:SUITE and "
          + "ubuntu:SUITE, or give the suite")
    }
    var word = tag
    if word.hasSuffix("-slim") { word.removeLast(5) }
    if word == Reference.defaultTag { word = distribution.latest }
    // 12.5 is bookworm, as 12 is.
    let major = word.split(separator: ".").first.map(String.init) ?? word
    let found = distribution.suites[word] ?? (distribution.name == "debian" ? distribution.suites[major] : nil) ?? word
    let valid =
      found.utf8.count <= 40 && found.first?.isLetter == true
      && found.utf8.allSatisfy {
        (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
      }
    guard valid else {
      throw ApusError(.invalidArgument, "'\(tag.prefix(60))' is no suite of \(distribution.name): give its code name")
    }
    return (distribution, found)
  }

  private static func guess(_ suite: String) -> BootstrapDistribution {
    ubuntu.suites.values.contains(suite) || ubuntu.suites[suite] != nil ? ubuntu : debian
  }

  /// The lines of the image's sources.list, with the machine's mirrors of this distribution.
  /// - Throws: `unavailable` when it has none, or no key to verify them by.
  func sources(suite: String, machine: [AptSource], keyringExists: (String) -> Bool) throws(ApusError) -> [String] {
    func isOurs(_ source: AptSource) -> Bool {
      // Third parties have their own host; mirrors have the distribution's name in their path.
      source.uri.lowercased().contains(name) && source.components.contains("main")
    }
    let securitySuite = { (suite: String) in suite.hasSuffix("-security") || suite.hasSuffix("/updates") }
    let main = machine.first { source in
      isOurs(source) && source.suites.contains { !securitySuite($0) && !$0.contains("-") }
    }
    let security = machine.first { source in isOurs(source) && source.suites.contains(where: securitySuite) }

    func options(_ source: AptSource) throws(ApusError) -> String {
      if source.isTrusted { return "[trusted=yes] " }
      if let key = source.signedBy, keyringExists(key) { return "[signed-by=\(key)] " }
      guard keyringExists(keyring) else {
        throw ApusError(
          .unavailable,
          "cannot verify \(name)'s packages: its keyring is missing; install it with: apt-get install \(keyringPackage)"
        )
      }
      return "[signed-by=\(keyring)] "
    }
    let parts = components.joined(separator: " ")
    guard let main else {
      throw ApusError(
        .unavailable,
        "this machine has no mirror of \(name) configured: add one to /etc/apt/sources.list, then try again")
    }
    var lines = ["deb \(try options(main))\(main.uri) \(suite) \(parts)"]
    guard !rolling.contains(suite) else { return lines }
    lines.append("deb \(try options(main))\(main.uri) \(suite)-updates \(parts)")
    // A machine that takes no security updates from anywhere cannot say where the image should.
    guard let security else { return lines }
    // Before bullseye the security suite was called otherwise.
    let securityName = name == "debian" && suite == "buster" ? "buster/updates" : "\(suite)-security"
    lines.append("deb \(try options(security))\(security.uri) \(securityName) \(parts)")
    return lines
  }
}

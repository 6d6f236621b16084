import Errors
import Glibc
import Linux

/// AppArmor on this host (apparmor(7)), as far as instances are confined by it.
enum AppArmor {
  /// What confines instances that name no profile: `apus-default.apparmor`, as much as Docker's `docker-default`.
  static let defaultProfile = "apus-default"
  private static let loadedProfiles = "/sys/kernel/security/apparmor/profiles"

  /// Whether it is enabled, and its file system there to say so.
  static var isEnabled: Bool { Files.exists(loadedProfiles) }

  /// Whether the kernel has the profile.
  static func isLoaded(_ profile: String) -> Bool {
    guard let bytes = try? Files.read(loadedProfiles, limit: 4 << 20) else { return false }
    // Lines such as `apus-default (enforce)`.
    return bytes.split(separator: 0x0a).contains { $0.starts(with: "\(profile) (".utf8) }
  }

  /// Gives the kernel the default profile if it has none of that name: an administrator's own goes before ours. Blocks,
  /// for some hundredths of a second.
  ///
  /// - Parameter directory: where the text is left for the parser, and for who wants to read it.
  /// - Throws: `unavailable` without apparmor_parser, or with its words.
  static func loadDefaultProfile(by directory: String) throws(ApusError) {
    guard isEnabled, !isLoaded(defaultProfile) else { return }
    let text = "\(directory)/\(defaultProfile).apparmor"
    try Files.writeAtomically(PackageResources.apus_default_apparmor, to: text, mode: 0o600)
    // Neither from its cache nor into it: the text is the daemon's.
    let parser = try ChildProcess(["apparmor_parser", "--skip-cache", "--replace", text])
    let words = (try? Files.read(descriptor: parser.errors.raw, limit: 4096)) ?? []
    guard try parser.wait().code == 0 else {
      throw ApusError(
        .unavailable,
        "apparmor_parser does not take the profile \(defaultProfile): \(String(decoding: words, as: UTF8.self).trimmed)"
      )
    }
  }
}

extension SecurityConfiguration {
  /// The AppArmor profile of an instance's processes; nil: none.
  public func confinement(on host: HostFacts) -> String? {
    switch appArmorProfile {
    case _ where !host.supportsAppArmor: nil
    case "unconfined": nil
    case nil, "": privileged ? nil : host.defaultAppArmorProfile
    case let profile?: profile
    }
  }
}

import DockerTypes
import Engine
import Errors

extension SecurityConfiguration {
  init(_ host: HostConfig) throws(ApusError) {
    self.init()
    privileged = host.privileged
    addCapabilities = host.capAdd?.values ?? []
    dropCapabilities = host.capDrop?.values ?? []
    readOnlyRoot = host.readonlyRootfs
    maskedPaths = host.maskedPaths
    readOnlyPaths = host.readonlyPaths
    for option in host.securityOpt ?? [] { try apply(option) }
  }

  /// One `--security-opt`: `name`, `name=value`, or the older `name:value`.
  private mutating func apply(_ option: String) throws(ApusError) {
    let separator = option.firstIndex(of: "=") ?? option.firstIndex(of: ":")
    let name = separator.map { String(option[..<$0]) } ?? option
    let value = separator.map { String(option[option.index(after: $0)...]) }
    switch (name, value) {
    case ("no-new-privileges", nil): noNewPrivileges = true
    case ("no-new-privileges", let value?):
      guard let flag = Self.flag(value) else { throw Self.invalid(option) }
      noNewPrivileges = flag
    case ("seccomp", "builtin"?): seccomp = nil
    case ("seccomp", let value?): seccomp = value
    case ("apparmor", let value?): appArmorProfile = value
    case ("label", let value?): selinuxOptions.append(value)
    case ("systempaths", "unconfined"?):
      maskedPaths = []
      readOnlyPaths = []
    default: throw Self.invalid(option)
    }
  }

  private static func flag(_ text: String) -> Bool? {
    switch text.lowercased() {
    case "1", "t", "true": true
    case "0", "f", "false": false
    default: nil
    }
  }

  private static func invalid(_ option: String) -> ApusError {
    ApusError(.invalidArgument, "invalid --security-opt 2: \"\(option)\"")
  }
}

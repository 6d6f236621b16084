import FoundationEssentials
import Glibc
import Linux
import Networking

extension Engine {
  /// Counts, and facts about the host.
  public func information() async -> EngineInformation {
    var information = EngineInformation()
    for record in await instances() {
      information.instances += 1
      switch record.state.status {
      case .running, .restarting: information.running += 1
      case .paused: information.paused += 1
      default: information.stopped += 1
      }
    }
    information.images = (try? await images.list().count) ?? 0

    var names = utsname()
    uname(&names)
    information.name = Self.text(&names.nodename)
    information.kernelVersion = Self.text(&names.release)
    information.machine = Self.text(&names.machine)
    information.architecture = HostFacts.current.architecture
    let release = Self.osRelease()
    information.operatingSystem = release["PRETTY_NAME"] ?? "Linux"
    information.operatingSystemVersion = release["VERSION_ID"] ?? ""
    information.cpus = HostFacts.current.cpuCount
    information.memory = Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE)))
    information.cgroupVersion = String(services.cgroups.version)
    information.storageStatus = [("Layers", services.layers.root), ("Writable layers", services.paths.instances)]
    information.securityOptions = ["name=seccomp,profile=builtin"]
    if HostFacts.current.supportsAppArmor { information.securityOptions.insert("name=apparmor", at: 0) }
    if services.cgroups.version == 2 { information.securityOptions.append("name=cgroupns") }
    if !HostFacts.current.supportsSwapLimit { information.warnings.append("WARNING: No swap limit support") }
    information.warnings += await networkWarnings()
    information.id = services.identity
    return information
  }

  /// What on the host keeps instances from the network.
  private func networkWarnings() async -> [String] {
    let interfaces = services.networks.interfacesInUse
    guard !interfaces.isEmpty else { return [] }
    return
      (try? await services.blocking.run { [services] in
        HostFirewall().warnings(interfaces: interfaces, table: services.networks.firewall.table).map {
          "WARNING: " + $0
        }
      }) ?? []
  }

  private static func text<Field>(_ field: inout Field) -> String {
    withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  private static func osRelease() -> [String: String] {
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
      guard let bytes = try? Files.read(path, limit: 64 * 1024) else { continue }
      var values: [String: String] = [:]
      for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
        guard let equals = line.firstIndex(of: "=") else { continue }
        var value = line[line.index(after: equals)...]
        if value.count >= 2, value.first == "\"", value.last == "\"" { value = value.dropFirst().dropLast() }
        values[String(line[..<equals])] = String(value)
      }
      return values
    }
    return [:]
  }
}

import Netlink
import Networking

/// The names instances know each other by (``NameSource``): those of the networks they are in. The network `bridge` has
/// none but links.
struct NetworkNames: NameSource {
  unowned let service: NetworkService

  func addresses(of name: String, family: IPAddress.Family, for instance: String) -> [IPAddress]? {
    service.state.withLock { state in
      var found: [IPAddress]?
      for (_, entry) in state.networks where !entry.record.isDefault {
        guard let asking = entry.members[instance] else { continue }
        var holders = entry.names[name] ?? []
        if holders.isEmpty, let target = asking.links[name]?.lowercased() {
          holders = entry.names[target] ?? entry.members.keys.filter { $0 == target }
        }
        if holders.isEmpty {
          // `name.network`
          let suffix = "." + entry.record.definition.name.lowercased()
          if name.hasSuffix(suffix) { holders = entry.names[String(name.dropLast(suffix.count))] ?? [] }
        }
        guard !holders.isEmpty else { continue }
        let addresses = holders.compactMap { holder -> IPAddress? in
          let endpoint = entry.members[holder]?.endpoint
          switch family {
          case .v4: return endpoint?.ipv4?.address
          case .v6: return entry.record.namesIPv6 || endpoint?.ipv4 == nil ? endpoint?.ipv6?.address : nil
          }
        }
        found = (found ?? []) + addresses
      }
      return found
    }
  }

  func name(of address: IPAddress, for instance: String) -> String? {
    service.state.withLock { state in
      for (_, entry) in state.networks where !entry.record.isDefault && entry.members[instance] != nil {
        guard let holder = entry.members.values.first(where: { $0.endpoint.addresses.contains(address) }) else {
          continue
        }
        return holder.instanceName + "." + entry.record.definition.name
      }
      return nil
    }
  }
}

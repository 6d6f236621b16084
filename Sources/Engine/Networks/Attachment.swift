import Netlink
import Networking

/// What a running instance has of the networks: its leases. Stored before anything of it is used, deleted when nothing
/// of it is left.
struct Attachment: Sendable, Codable, Equatable {
  /// The one with the default route first.
  var endpoints: [AttachedEndpoint] = []
  var ports: [PublishedPort] = []
}

/// An instance in one network, as its neighbours know it.
struct Member: Sendable {
  var instanceName: String
  var endpoint: Endpoint
  /// In lower case: by what it is found.
  var names: [String]
  /// What it alone calls others: alias to an instance's name or id.
  var links: [String: String]
}

/// One network while the engine runs.
struct NetworkEntry: Sendable {
  var record: NetworkRecord
  var pool4: AddressPool?
  var pool6: AddressPool?
  /// By instance.
  var members: [String: Member] = [:]
  /// By name, those who have it, in the order they came.
  var names: [String: [String]] = [:]
  /// It is on the host, as far as this daemon knows.
  var isPrepared = false
  /// The host's own loopback addresses lead to its ports too.
  var isLoopbackPublished = false

  init(_ record: NetworkRecord) {
    self.record = record
    pool4 = record.pool(.v4)
    pool6 = record.pool(.v6)
  }

  var information: NetworkInformation {
    record.information(
      members.map {
        NetworkMember(instanceID: $0.key, instanceName: $0.value.instanceName, endpoint: $0.value.endpoint)
      })
  }

  mutating func insert(_ member: Member, of instance: String) {
    remove(instance)
    members[instance] = member
    for name in member.names { names[name, default: []].append(instance) }
  }

  mutating func remove(_ instance: String) {
    guard let member = members.removeValue(forKey: instance) else { return }
    for name in member.names {
      names[name]?.removeAll { $0 == instance }
      if names[name]?.isEmpty ?? false { names[name] = nil }
    }
  }

  mutating func take(_ address: IPAddress) -> Bool {
    address.family == .v4 ? pool4?.take(address) ?? false : pool6?.take(address) ?? false
  }

  mutating func release(_ endpoint: Endpoint) {
    if let address = endpoint.ipv4?.address { pool4?.release(address) }
    if let address = endpoint.ipv6?.address { pool6?.release(address) }
  }
}

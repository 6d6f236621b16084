import DockerTypes
import Engine
import Errors
import Netlink
import Networking

extension PortBinding {
  /// Everything that `HostConfig.PortBindings` asks for.
  ///
  /// - Throws: `invalidArgument` in Docker's words.
  static func all(_ asked: [String: [PortBindingConfig]?]) throws(ApusError) -> [PortBinding] {
    var bindings: [PortBinding] = []
    for (key, configs) in asked.sorted(by: { $0.key < $1.key }) {
      let (proto, port) = try PortText.port(key)
      for config in configs ?? [] { bindings.append(try PortBinding(proto, port, config)) }
    }
    return bindings
  }

  init(_ proto: PortProtocol, _ port: UInt16, _ config: PortBindingConfig) throws(ApusError) {
    if !config.hostIP.isEmpty, IPAddress(config.hostIP) == nil {
      throw ApusError(.invalidArgument, "invalid IP address: \(config.hostIP)")
    }
    self.init(proto: proto, port: port, hostAddress: config.hostIP, hostPorts: try Self.hostPorts(config.hostPort))
  }

  /// One, a range, or nil: any. A protocol after it says nothing new.
  private static func hostPorts(_ text: String) throws(ApusError) -> ClosedRange<UInt16>? {
    let ports = text.prefix { $0 != "/" }
    if ports.isEmpty { return nil }
    guard let range = PortText.ports(ports) else { throw PortText.invalid(text) }
    return range.lowerBound == 0 ? nil : range
  }

  /// `80/tcp`.
  var portText: String { "\(port)/\(proto.rawValue)" }
}

extension PortBindingConfig {
  init(hostIP: String, hostPort: String) {
    self.init()
    self.hostIP = hostIP
    self.hostPort = hostPort
  }

  init(_ binding: PortBinding) {
    let ports = binding.hostPorts.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
    self.init(hostIP: binding.hostAddress, hostPort: ports ?? "")
  }

  /// `HostConfig.PortBindings` for what is published now: as the client spelled it, without what was withdrawn since and
  /// with what was added.
  static func described(
    _ bindings: [PortBinding], asked: [String: [PortBindingConfig]?]
  ) -> [String: [PortBindingConfig]?] {
    var rest = bindings
    var described: [String: [PortBindingConfig]?] = [:]
    for (key, configs) in asked {
      guard let configs, !configs.isEmpty else {
        described.updateValue(configs, forKey: key)
        continue
      }
      let kept = configs.filter { config in
        guard let (proto, port) = try? PortText.port(key), let binding = try? PortBinding(proto, port, config),
          let index = rest.firstIndex(of: binding)
        else { return false }
        rest.remove(at: index)
        return true
      }
      if !kept.isEmpty { described[key] = kept }
    }
    for binding in rest {
      described[binding.portText] = ((described[binding.portText] ?? nil) ?? []) + [PortBindingConfig(binding)]
    }
    return described
  }
}

extension DockerTypes.NetworkSettings {
  /// Exposed ports, and for each where the host publishes it: IPv4 first, as Docker has them.
  static func ports(_ record: InstanceRecord) -> [String: [PortBindingConfig]?] {
    var ports: [String: [PortBindingConfig]?] = [:]
    for exposed in record.resolved.exposedPorts {
      guard let text = try? PortText(exposed) else { continue }
      for port in text.ports { ports.updateValue(nil, forKey: "\(port)/\(text.proto.rawValue)") }
    }
    let published = record.state.ports.sorted {
      ($0.hostAddress, $0.hostPort) < ($1.hostAddress, $1.hostPort)
    }
    for port in published {
      let config = PortBindingConfig(hostIP: port.hostAddress.description, hostPort: "\(port.hostPort)")
      let key = "\(port.port)/\(port.proto.rawValue)"
      ports[key] = ((ports[key] ?? nil) ?? []) + [config]
    }
    return ports
  }
}

extension PortSummary {
  /// What a list shows of `NetworkSettings.Ports`.
  static func all(_ ports: [String: [PortBindingConfig]?]) -> [PortSummary] {
    var summaries: [PortSummary] = []
    for (key, bindings) in ports {
      guard let (proto, port) = try? PortText.port(key) else { continue }
      var summary = PortSummary()
      summary.privatePort = port
      summary.type = proto.rawValue
      guard let bindings, !bindings.isEmpty else {
        summaries.append(summary)
        continue
      }
      for binding in bindings {
        summary.ip = binding.hostIP
        summary.publicPort = UInt16(binding.hostPort)
        summaries.append(summary)
      }
    }
    func order(_ port: PortSummary) -> (UInt16, String, UInt16, String) {
      (port.privatePort, port.type, port.publicPort ?? 0, port.ip ?? "")
    }
    return summaries.sorted { order($0) < order($1) }
  }
}

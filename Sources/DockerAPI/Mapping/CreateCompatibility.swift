import DockerTypes
import Errors

extension ContainerCreateRequest {
  /// Brings a request as `version` understands it into the present form, as far as networks are concerned.
  ///
  /// - Returns: warnings.
  /// - Throws: `invalidArgument` in Docker's words for what that version could not do.
  mutating func adapt(from version: APIVersion) throws(ApusError) -> [String] {
    var host = hostConfig ?? HostConfig()
    var endpoints = networkingConfig?.endpointsConfig ?? [:]
    host.networkMode = NetworkName.mode(host.networkMode)
    if host.networkMode == NetworkName.bridge, let settings = endpoints.removeValue(forKey: "default") {
      endpoints[NetworkName.bridge] = settings
    }
    if version < .severalEndpoints, endpoints.count > 1 {
      throw ApusError(
        .invalidArgument,
        "Container cannot be created with multiple network endpoints: \(endpoints.keys.sorted().joined(separator: ", "))"
      )
    }
    if version < .gatewayPriorities {
      for name in endpoints.keys { endpoints[name]??.gwPriority = 0 }
    }
    let warning = try Self.moveAddress(&config, host.networkMode, &endpoints, version)
    hostConfig = host
    if networkingConfig != nil || !endpoints.isEmpty {
      networkingConfig = networkingConfig ?? NetworkingConfig()
      networkingConfig?.endpointsConfig = endpoints
    }
    return warning.map { [$0] } ?? []
  }

  /// The container's own `MacAddress` is since 1.44 that of its endpoint in the first network.
  private static func moveAddress(
    _ config: inout ContainerConfig, _ mode: String, _ endpoints: inout [String: EndpointSettings?],
    _ version: APIVersion
  ) throws(ApusError) -> String? {
    let hasNetwork = mode == NetworkName.bridge || NetworkName.isUserDefined(mode)
    guard let address = config.macAddress?.nonEmpty else {
      // What that version has not is not heard.
      if version < .severalEndpoints { for name in endpoints.keys { endpoints[name]??.macAddress = "" } }
      return nil
    }
    config.macAddress = nil
    if version < .severalEndpoints {
      guard hasNetwork else {
        throw ApusError(.invalidArgument, "conflicting options: mac-address and the network mode")
      }
      let name = endpoints.keys.first ?? mode
      var settings = (endpoints[name] ?? nil) ?? EndpointSettings()
      settings.macAddress = address
      endpoints[name] = settings
      return nil
    }
    if hasNetwork {
      guard endpoints.isEmpty || endpoints[mode] != nil else {
        throw ApusError(
          .invalidArgument,
          "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the "
            + "identity of a network in NetworkSettings.Networks")
      }
      var settings = (endpoints[mode] ?? nil) ?? EndpointSettings()
      guard settings.macAddress.isEmpty || settings.macAddress == address else {
        throw ApusError(
          .invalidArgument,
          "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left "
            + "empty")
      }
      settings.macAddress = address
      endpoints[mode] = settings
    }
    return
      "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
  }
}

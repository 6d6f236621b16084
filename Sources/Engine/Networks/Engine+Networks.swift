import Errors

extension Engine {
  public var networks: NetworkService { services.networks }

  /// Publishes and withdraws ports of an instance; where it runs, at once.
  ///
  /// - Parameter withdraw: what matches a published port in everything that is said: protocol, port, and host address
  ///   and ports where they are not empty.
  /// - Throws: `conflict` where a port is taken, `notFound` where one to withdraw is not published; then nothing changes.
  public func updatePorts(
    _ reference: String, publish: [PortBinding], withdraw: [PortBinding]
  ) async throws {
    try await instance(reference).updatePorts(publish: publish, withdraw: withdraw)
  }
}

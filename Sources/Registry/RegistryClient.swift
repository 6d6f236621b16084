import AsyncHTTPClient
import Errors
import ImageSpec
import Logging
import NIOCore
import Synchronization

/// A client of one registry, and of its mirrors, for one operation (OCI distribution-spec 1.1).
///
/// Make one, use it, `shutdown()` it: connections and TLS state live only as long, so that an idle daemon holds none.
public final class RegistryClient: Sendable {
  let configuration: RegistryConfiguration
  /// As references name it: `docker.io`.
  let domain: String
  let logger: Logger
  private let credentials: RegistryCredentials?
  private let mirrorCredentials: [String: RegistryCredentials]
  private let clients: HTTPClients
  private let transports = Mutex<[TransportKey: Transport]>([:])
  /// Mirrors that did not answer: they are not asked again.
  private let silent = Mutex<Set<String>>([])
  /// Uploads that a refused mount has opened, by repository and digest.
  let openedUploads = Mutex<[String: URLParts]>([:])

  private struct TransportKey: Hashable {
    var host: String
    var insecure: Bool
  }

  /// - Parameters:
  ///   - domain: the registry, as references name it.
  ///   - credentials: for `domain`; nobody else gets them.
  ///   - mirrorCredentials: for other hosts that the configuration names, by `host[:port]`.
  public init(
    domain: String, credentials: RegistryCredentials? = nil, mirrorCredentials: [String: RegistryCredentials] = [:],
    configuration: RegistryConfiguration = .fromEnvironment, logger: Logger
  ) {
    self.domain = domain
    self.configuration = configuration
    self.logger = logger
    self.credentials = credentials
    self.mirrorCredentials = mirrorCredentials
    clients = HTTPClients(configuration: configuration)
  }

  public func shutdown() async { await clients.shutdown() }

  /// Do the credentials open this registry? (`docker login`'s question.)
  /// - Throws: `permissionDenied` if not.
  public func checkCredentials() async throws {
    let insecure = configuration.registries.registries.contains { $0.prefix == domain && $0.insecure }
    let transport = try transport(Location(host: domain, path: "", insecure: insecure, isMirror: false))
    let response = try await transport.send(RegistryRequest(path: "", scope: "", subject: .service))
    _ = await Transport.complaint(response)
  }

  // MARK: Places

  /// Where one repository is to be found, and how it is reached.
  struct Place: Sendable {
    var transport: Transport
    /// The repository there.
    var repository: String
    var isMirror: Bool

    var pullScope: String { "repository:\(repository):pull" }
    var pushScope: String { "repository:\(repository):pull,push" }
  }

  /// The mirrors that have not failed, and the registry itself.
  func places(for reference: Reference) throws -> [Place] {
    let locations = try configuration.registries.locations(of: reference, pulling: true)
    return try locations.filter { location in !location.isMirror || !silent.withLock { $0.contains(location.host) } }
      .map(place)
  }

  /// Where a reference is pushed to.
  func registry(of reference: Reference) throws -> Place {
    guard let last = try configuration.registries.locations(of: reference, pulling: false).last else {
      throw ApusError(.internal, "\(reference.familiarName) has no registry")
    }
    return try place(last)
  }

  private func place(_ location: Location) throws -> Place {
    Place(transport: try transport(location), repository: location.path, isMirror: location.isMirror)
  }

  func transport(_ location: Location) throws -> Transport {
    let insecure = location.insecure || configuration.insecureRegistries.contains(location.host)
    let key = TransportKey(host: location.host, insecure: insecure)
    if let known = transports.withLock({ $0[key] }) { return known }
    let made = try Transport(
      host: location.host, insecure: insecure,
      credentials: location.host == domain ? credentials : mirrorCredentials[location.host],
      configuration: configuration, clients: clients, logger: logger)
    return transports.withLock { transports in
      if let known = transports[key] { return known }
      transports[key] = made
      return made
    }
  }

  /// Asks one place after the other until one answers with what was asked for. The registry itself is the last: its
  /// failure is the one that is told.
  func fromFirst<Result: Sendable>(
    _ reference: Reference, _ body: (Place) async throws -> Result
  ) async throws -> Result {
    for place in try places(for: reference) {
      guard place.isMirror else { return try await body(place) }
      do {
        return try await body(place)
      } catch {
        try Task.checkCancellation()
        note(error, of: place, reference)
      }
    }
    throw ApusError(.internal, "\(reference.familiarName) has no registry")
  }

  /// A mirror has failed: said in the log, and remembered if it cannot be reached at all.
  func note(_ error: any Error, of mirror: Place, _ reference: Reference) {
    let host = mirror.transport.host
    logger.notice("mirror \(host) cannot serve \(reference.familiar), the next is asked: \(error)")
    if (error as? ApusError)?.code == .unavailable { silent.withLock { _ = $0.insert(host) } }
  }

  func body(_ response: HTTPClientResponse, limit: Int, subject: Subject, at host: String) async throws -> [UInt8] {
    do {
      return Array(try await response.body.collect(upTo: limit).readableBytesView)
    } catch is NIOTooManyBytesError {
      throw ApusError(.invalidArgument, "\(host) sent more than \(limit) bytes for \(subject.text)")
    } catch {
      throw subject.failure(error, at: host)
    }
  }
}

import Errors
import FoundationEssentials
import ImageSpec

/// One repository that a registry's search has found.
public struct SearchResult: Sendable, Equatable {
  public var name: String
  public var description: String
  public var stars: Int
  public var isOfficial: Bool
  public var isAutomated: Bool

  public init(
    name: String, description: String = "", stars: Int = 0, isOfficial: Bool = false, isAutomated: Bool = false
  ) {
    self.name = name
    self.description = description
    self.stars = stars
    self.isOfficial = isOfficial
    self.isAutomated = isAutomated
  }
}

extension RegistryClient {
  private struct Answer: Decodable {
    struct Item: Decodable {
      var name: String
      var description: String?
      var star_count: Int?
      var is_official: Bool?
      var is_automated: Bool?
    }
    var results: [Item]?
  }

  private struct Catalog: Decodable { var repositories: [String]? }

  /// Repositories whose name has a word in it: by the search of Docker Hub's kind (`/v1/search`) where the registry has
  /// it, else by its catalogue (`/v2/_catalog`).
  ///
  /// - Parameter limit: results at most, 1 to 100.
  /// - Throws: `unsupported` when the registry has neither.
  public func search(_ term: String, limit: Int = 25) async throws -> [SearchResult] {
    let limit = min(max(limit, 1), 100)
    let insecure = configuration.registries.registries.contains { $0.prefix == domain && $0.insecure }
    // The Hub answers searches on a host of its own, which is not asked with credentials.
    let host = domain == Reference.defaultDomain ? "index.docker.io" : domain
    let subject = Subject.search(term)
    let transport = try transport(Location(host: host, path: "", insecure: insecure, isMirror: false))
    var request = RegistryRequest(path: "", scope: "", subject: subject)
    request.target = .root("/v1/search?q=\(PercentEncoding.encode(term))&n=\(limit)")
    request.headers = [("accept", "application/json")]
    do {
      let response = try await transport.answer(request)
      let bytes = try await body(response, limit: configuration.manifestLimit, subject: subject, at: host)
      if let answer = try? JSONDecoder().decode(Answer.self, from: Data(bytes)), let results = answer.results {
        return results.prefix(limit).map {
          SearchResult(
            name: RegistryComplaint.printable($0.name), description: RegistryComplaint.printable($0.description ?? ""),
            stars: $0.star_count ?? 0, isOfficial: $0.is_official ?? false, isAutomated: $0.is_automated ?? false)
        }
      }
    } catch let refused as RefusedRequest {
      guard [400, 404, 405, 501].contains(refused.status) else { throw refused.error }
    }
    return try await searchCatalog(term.lowercased(), limit: limit, transport, subject)
  }

  private func searchCatalog(
    _ term: String, limit: Int, _ transport: Transport, _ subject: Subject
  ) async throws -> [SearchResult] {
    let request = RegistryRequest(path: "_catalog?n=1000", scope: "registry:catalog:*", subject: subject)
    var found: [SearchResult] = []
    do {
      try await pages(
        Catalog.self, of: request, at: Place(transport: transport, repository: "", isMirror: false)
      ) { page in
        found += (page.repositories ?? []).filter { Reference.isPath($0[...]) && $0.contains(term) }
          .map { SearchResult(name: "\(domain)/\($0)") }
        return found.count < limit
      }
    } catch let refused as RefusedRequest {
      guard [401, 403, 404, 405, 501].contains(refused.status) else { throw refused.error }
      throw ApusError(
        .unsupported, "\(domain) can be searched neither by /v1/search nor by its catalogue: name the image in full")
    }
    return Array(found.prefix(limit))
  }
}

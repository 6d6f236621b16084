import AsyncHTTPClient
import Errors
import FoundationEssentials
import ImageSpec

extension RegistryClient {
  /// The tags of a repository, in the registry's order (distribution-spec, "Listing Tags").
  ///
  /// - Parameter limit: more are not asked for.
  /// - Throws: `notFound` for an unknown repository, `unavailable`, `permissionDenied`.
  public func tags(of reference: Reference, limit: Int = 100_000) async throws -> [String] {
    struct Page: Decodable { var tags: [String]? }
    return try await fromFirst(reference) { place in
      var tags: [String] = []
      let request = RegistryRequest(
        path: "\(place.repository)/tags/list", scope: place.pullScope, subject: .tags(reference))
      do {
        try await pages(Page.self, of: request, at: place) { page in
          // What is no tag could not be pulled, and might be anything else.
          tags += (page.tags ?? []).filter { Reference.isTag($0[...]) }
          return tags.count < limit
        }
      } catch let refused as RefusedRequest {
        throw refused.error
      }
      return Array(tags.prefix(limit))
    }
  }

  /// What refers to a manifest as its subject: signatures, attestations, bills of materials (distribution-spec,
  /// "Listing Referrers"). A registry without that list is asked for the tag that takes its place.
  ///
  /// - Parameters:
  ///   - reference: with the digest of the subject; a tag is resolved first.
  ///   - artifactType: only these.
  public func referrers(of reference: Reference, artifactType: String? = nil) async throws -> [Descriptor] {
    let subject: Digest
    if let digest = reference.digest {
      subject = digest
    } else if let found = try await head(reference) {
      subject = found.digest
    } else {
      throw ApusError(.notFound, "manifest for \(reference.familiar) not found: manifest unknown")
    }
    let reference = reference.with(digest: subject)
    let found = try await fromFirst(reference) { place in
      var path = "\(place.repository)/referrers/\(subject)"
      if let artifactType { path += "?artifactType=" + PercentEncoding.encode(artifactType) }
      var found: [Descriptor] = []
      do {
        try await pages(
          Index.self, of: RegistryRequest(path: path, scope: place.pullScope, subject: .referrers(reference)), at: place
        ) { page in
          found += page.manifests
          return found.count < Self.referrersLimit
        }
      } catch let refused as RefusedRequest {
        // 404 is how a registry without the list answers; older ones find the path strange.
        guard refused.status == 404 || refused.status == 400 || refused.status == 405 else { throw refused.error }
        return try await referrersTag(of: subject, reference, at: place)?.manifests ?? []
      }
      return found
    }
    // A registry need not filter, and the tag does not.
    return found.filter { artifactType == nil || $0.artifactType == artifactType }
  }

  /// Referrers of one manifest; more are not read.
  static let referrersLimit = 10_000

  /// The index under the tag that stands for the list of referrers (distribution-spec, "Referrers Tag Schema").
  func referrersTag(of subject: Digest, _ reference: Reference, at place: Place) async throws -> Index? {
    var request = RegistryRequest(
      path: "\(place.repository)/manifests/\(Self.referrersTag(of: subject))", scope: place.pullScope,
      subject: .referrers(reference))
    request.headers = [("accept", MediaType.index)]
    do {
      let response = try await place.transport.answer(request)
      return try Index(
        json: try await body(
          response, limit: configuration.manifestLimit, subject: request.subject, at: place.transport.host))
    } catch let refused as RefusedRequest {
      guard refused.status == 404 else { throw refused.error }
      return nil
    }
  }

  /// `sha256-<hex>`, cut to what a tag may have.
  static func referrersTag(of subject: Digest) -> String {
    "\(subject.algorithm.rawValue)-\(subject.hex.prefix(64))"
  }

  // MARK: Pages

  /// Reads one page after the other, as `Link` headers lead (RFC 5988), until `body` has enough.
  func pages<Page: Decodable>(
    _ type: Page.Type, of request: RegistryRequest, at place: Place, _ body: (Page) throws -> Bool
  ) async throws {
    var request = request
    // A registry that leads in circles comes to an end as well.
    for _ in 0..<10_000 {
      let response = try await place.transport.answer(request)
      let bytes = try await self.body(
        response, limit: configuration.manifestLimit, subject: request.subject, at: place.transport.host)
      guard let page = try? JSONDecoder().decode(Page.self, from: Data(bytes)) else {
        throw ApusError(.unavailable, "\(place.transport.host) gave no usable list for \(request.subject.text)")
      }
      guard try body(page), let next = Link.next(in: response.headers["link"]) else { return }
      request.target = .url(try place.transport.resolve(next, from: request))
    }
  }
}

/// The `Link` header of a list (RFC 8288).
enum Link {
  /// The target of the link whose relation is `next`.
  static func next(in headers: [String]) -> String? {
    for header in headers {
      var rest = header[...]
      while let start = rest.firstIndex(of: "<"), let end = rest[start...].firstIndex(of: ">") {
        let target = rest[rest.index(after: start)..<end]
        rest = rest[rest.index(after: end)...]
        let parameters = rest.prefix { $0 != "," && $0 != "<" }.lowercased().filter { $0 != " " && $0 != "\"" }
        if parameters.split(separator: ";").contains("rel=next") { return String(target) }
      }
    }
    return nil
  }
}

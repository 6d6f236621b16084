import HTTPTypes
import Hummingbird
import ImageSpec

extension RegistryResources {
  /// `GET /v2/_catalog`
  func catalog(_ call: Call) async throws -> Response {
    struct Body: Encodable { var repositories: [String] }
    guard [.get, .head].contains(call.method) else { throw Problem.wrongMethod("GET") }
    let page = try call.page(limit: limits.page)
    let found = page.limit == 0 ? [] : try await metadata.repositories(after: page.last, limit: page.limit)
    return linked(.json(.ok, Body(repositories: Array(found.prefix(page.limit)))), "/v2/_catalog", page.limit, found)
  }

  /// `GET /v2/<name>/tags/list`
  func tags(_ call: Call, _ name: String) async throws -> Response {
    struct Body: Encodable {
      var name: String
      var tags: [String]
    }
    guard [.get, .head].contains(call.method) else { throw Problem.wrongMethod("GET") }
    let page = try call.page(limit: limits.page)
    guard let found = try await metadata.tags(of: name, after: page.last, limit: page.limit) else {
      throw Problem.unknownName(name)
    }
    let tags = Array(found.prefix(page.limit))
    return linked(.json(.ok, Body(name: name, tags: tags)), "/v2/\(name)/tags/list", page.limit, found)
  }

  /// `GET /v2/<name>/referrers/<digest>`; never 404, for that would mean that there is no such list.
  func referrers(_ call: Call, _ name: String, _ text: String) async throws -> Response {
    guard [.get, .head].contains(call.method) else { throw Problem.wrongMethod("GET") }
    guard let subject = Digest(text) else { throw Problem.invalidDigest }
    let type = call.query["artifactType"].flatMap { $0.isEmpty ? nil : $0 }
    let page = try call.page(limit: min(limits.page, 100))
    let found = try await metadata.referrers(
      of: subject, in: name, artifactType: type, after: page.last, limit: page.limit)
    var response = Response.json(
      .ok, Index(manifests: Array(found.prefix(page.limit))), type: MediaType.index)
    if type != nil { response.headers[.filtersApplied] = "artifactType" }
    let filter = type.map { "&artifactType=" + PercentEncoding.encode($0) } ?? ""
    return linked(
      response, "/v2/\(name)/referrers/\(subject)", page.limit, found.map(\.digest.description), more: filter)
  }

  /// Says where the next page is, if the list has more entries than fit.
  private func linked(
    _ response: Response, _ path: String, _ limit: Int, _ found: [String], more: String = ""
  ) -> Response {
    guard limit > 0, found.count > limit else { return response }
    var response = response
    let last = PercentEncoding.encode(found[limit - 1])
    response.headers[.link] = "<\(path)?n=\(limit)&last=\(last)\(more)>; rel=\"next\""
    return response
  }
}

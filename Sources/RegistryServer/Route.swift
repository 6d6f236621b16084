import FoundationEssentials
import HTTPTypes
import ImageSpec

/// What an address of the API names (distribution-spec, "Endpoints"). Names of repositories have slashes, so that the
/// end of the path decides.
enum Route: Equatable {
  /// `/v2/`
  case base
  /// `/v2/_catalog`
  case catalog
  case tags(name: String)
  /// By tag or digest, still unchecked.
  case manifest(name: String, reference: String)
  case blob(name: String, digest: String)
  case uploads(name: String)
  case upload(name: String, identifier: String)
  case referrers(name: String, digest: String)

  /// - Parameter path: without the query.
  /// - Throws: ``Problem`` for what is none of these.
  init(_ path: some StringProtocol) throws(Problem) {
    guard path.utf8.count <= 4_096, let path = path.removingPercentEncoding else {
      throw Problem(.badRequest, .nameInvalid, "the address is too long or not percent-encoded")
    }
    if path == "/v2" || path == "/v2/" {
      self = .base
      return
    }
    var parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count >= 3, parts[0].isEmpty, parts[1] == "v2" else { throw Self.nothing }
    parts.removeFirst(2)
    if parts == ["_catalog"] {
      self = .catalog
      return
    }
    // `…/uploads/` begins an upload; most clients write the slash, some do not.
    if parts.count > 3, parts.last == "", parts[parts.count - 2] == "uploads" { parts.removeLast() }
    guard let last = parts.popLast(), let kind = parts.popLast() else { throw Self.nothing }
    switch (kind, last) {
    case ("tags", "list"): self = .tags(name: try Self.name(parts))
    case ("blobs", "uploads"): self = .uploads(name: try Self.name(parts))
    case ("uploads", _) where parts.last == "blobs":
      self = .upload(name: try Self.name(parts.dropLast()), identifier: last)
    case ("manifests", _): self = .manifest(name: try Self.name(parts), reference: last)
    case ("blobs", _): self = .blob(name: try Self.name(parts), digest: last)
    case ("referrers", _): self = .referrers(name: try Self.name(parts), digest: last)
    default: throw Self.nothing
    }
  }

  private static let nothing = Problem(.notFound, .unsupported, "there is nothing at this address")

  private static func name(_ parts: some BidirectionalCollection<String>) throws(Problem) -> String {
    let name = parts.joined(separator: "/")
    guard name.utf8.count <= 255, Reference.isPath(name[...]) else {
      throw Problem(.badRequest, .nameInvalid, "the repository's name is invalid")
    }
    return name
  }
}

/// The query of a request: names and values, decoded.
struct Query {
  private var items: [(name: String, value: String)] = []

  init(_ text: some StringProtocol) {
    for item in text.split(separator: "&").prefix(64) {
      let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let value = parts.count > 1 ? String(parts[1]) : ""
      items.append(
        (
          String(parts[0]),
          value.split(separator: "+", omittingEmptySubsequences: false).joined(separator: "%20").removingPercentEncoding
            ?? value
        ))
    }
  }

  subscript(name: String) -> String? { items.first { $0.name == name }?.value }
  func all(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }
}

/// A request's path as the router gets it: without its version, and with an image's name as one component.
struct RequestPath: Sendable, Equatable {
  /// nil: the path had none.
  let version: APIVersion?
  let path: String
  let query: String

  init(_ target: String) {
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    var path = parts[0]
    query = parts.count > 1 ? String(parts[1].prefix { $0 != "#" }) : ""
    var version: APIVersion?
    if path.hasPrefix("/v") {
      let component = path.dropFirst(2).prefix { $0 != "/" }
      if let found = APIVersion(component) {
        version = found
        path = path.dropFirst(2 + component.count)
      }
    }
    self.version = version
    self.path = Self.joiningImageName(path)
  }

  private static let imageVerbs: Set<Substring> = ["json", "history", "push", "tag", "get"]

  /// `/images/example.org/team/app:1/json` → `/images/example.org%2Fteam%2Fapp:1/json`.
  private static func joiningImageName(_ path: Substring) -> String {
    for prefix in ["/images/", "/distribution/"] where path.hasPrefix(prefix) {
      let parts = path.dropFirst(prefix.count).split(separator: "/", omittingEmptySubsequences: false)
      guard parts.count > 1 else { break }
      guard let last = parts.last, imageVerbs.contains(last) else {
        return prefix + parts.joined(separator: "%2F")
      }
      return prefix + parts.dropLast().joined(separator: "%2F") + "/" + last
    }
    return String(path)
  }
}

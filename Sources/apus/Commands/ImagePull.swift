import Errors

/// `POST /images/create`: the daemon pulls an image and reports how far it is.
struct ImagePull {
  let client: Client
  let reference: String
  let platform: String?
  var allTags = false

  func run(quiet: Bool, output: Int32) throws {
    let (name, tag) = Self.split(reference)
    var query: [(String, String?)] = [("fromImage", name)]
    if !allTags { query.append(("tag", tag ?? "latest")) }
    query.append(("platform", platform))
    var progress = Progress(output: output, quiet: quiet)
    try client.stream(
      "POST", Target.path(["images", "create"], query), headers: RegistryLogin.headers(for: name)
    ) { try progress.show($0) }
    try progress.finish()
  }

  /// A reference's name and its tag or digest: `registry:5000/a/b:c` is `registry:5000/a/b` and `c`.
  static func split(_ reference: String) -> (name: String, tag: String?) {
    if let at = reference.firstIndex(of: "@") {
      var name = reference[..<at]
      // A tag beside a digest says nothing more.
      let afterSlash = name.lastIndex(of: "/").map { name.index(after: $0) } ?? name.startIndex
      if let colon = name[afterSlash...].lastIndex(of: ":") { name = name[..<colon] }
      return (String(name), String(reference[reference.index(after: at)...]))
    }
    let start = reference.lastIndex(of: "/").map { reference.index(after: $0) } ?? reference.startIndex
    guard let colon = reference[start...].lastIndex(of: ":") else { return (reference, nil) }
    return (String(reference[..<colon]), String(reference[reference.index(after: colon)...]))
  }

  /// A name in full: `docker.io/library/debian:12`.
  static func canonical(_ name: String, _ tag: String?) -> String {
    let registry = RegistryLogin.registry(of: name)
    var path = name[...]
    if let slash = name.firstIndex(of: "/"), registry != "docker.io" || Self.namesHub(name[..<slash]) {
      path = name[name.index(after: slash)...]
    }
    let full = "\(registry)/" + (registry == "docker.io" && !path.contains("/") ? "library/" : "") + path
    return full + (tag.map { ($0.contains(":") ? "@" : ":") + $0 } ?? "")
  }

  private static func namesHub(_ first: Substring) -> Bool {
    ["docker.io", "index.docker.io", "registry-1.docker.io"].contains(String(first))
  }
}

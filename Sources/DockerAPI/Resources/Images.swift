import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Hummingbird
import ImageSpec

/// `/images`: what there is, its names, its end. Bringing images in and out is in the file beside this one.
extension DockerAPI {
  func addImages(to router: Router<APIContext>) {
    router.add(.get, "images/json", listImages)
    router.add(.post, "images/create", createImage)
    router.add(.post, "images/load", loadImages)
    router.add(.get, "images/get", saveImages)
    router.add(.get, "images/search", searchImages)
    router.add(.post, "images/prune", pruneImages)
    router.add(.get, "images/:name/json", inspectImage)
    router.add(.get, "images/:name/history", imageHistory)
    router.add(.get, "images/:name/get", saveImage)
    router.add(.post, "images/:name/push", pushImage)
    router.add(.post, "images/:name/tag", tagImage)
    router.add(.delete, "images/:name", removeImage)
    router.add(.get, "distribution/:name/json", inspectDistribution)
    router.add(.post, "apus/v1/images/bootstrap", bootstrapImage)
    router.add(.get, "apus/v1/manifest", inspectManifest)
    router.add(.post, "apus/v1/manifest/push", pushManifestList)
  }

  @Sendable func listImages(_ request: APIRequest) async throws -> Response {
    let query = request.query
    var filters = try query.filters(accepted: ["before", "dangling", "label", "label!", "reference", "since", "until"])
    // What the oldest clients call it.
    if let name = query.text("filter") { filters.add(name, for: "reference") }
    if !filters["dangling"].isEmpty, filters.flag("dangling") == nil {
      throw ApusError(.invalidArgument, "invalid filter 'dangling=\(filters["dangling"])'")
    }
    let until = try PruneLimit.until(filters)
    let before = try await date(ofImage: filters["before"].first)
    let since = try await date(ofImage: filters["since"].first)
    let version = request.version
    let images = try await engine.images.list().filter { image in
      let created = image.created ?? Date(timeIntervalSince1970: 0)
      return (before.map { created < $0 } ?? true) && (since.map { created > $0 } ?? true)
        && (until.map { created < $0 } ?? true)
        && (filters.flag("dangling").map { $0 == image.isDangling } ?? true)
        && filters.allows(labels: image.config.config.labels ?? [:])
        && filters.allows("reference") { pattern in image.references.contains { ImageName.matches($0, pattern) } }
    }
    guard query.flag("shared-size") else { return .json(images.map { ImageSummary($0, version: version) }) }
    let wanted = Set(images.map(\.id))
    let usage = try await engine.images.diskUsage().images.filter { wanted.contains($0.image.id) }
    return .json(usage.map { ImageSummary($0.image, sharedSize: $0.sharedLayersSize, version: version) })
  }

  @Sendable func inspectImage(_ request: APIRequest) async throws -> Response {
    let image = try await engine.images.resolve(try request.parameter("name"))
    return .json(ImageInspect(image, storage: StorageDriver.name, version: request.version))
  }

  @Sendable func imageHistory(_ request: APIRequest) async throws -> Response {
    let history = try await engine.images.history(try request.parameter("name"))
    return .json(
      history.map { line in
        var entry = DockerTypes.ImageHistoryEntry()
        entry.id = line.id?.description ?? "<missing>"
        entry.created = line.created.map { GoTime.split($0).seconds } ?? 0
        entry.createdBy = line.createdBy
        entry.tags = line.references.isEmpty ? nil : line.references
        entry.size = Int(line.size)
        entry.comment = line.comment
        return entry
      })
  }

  @Sendable func tagImage(_ request: APIRequest) async throws -> Response {
    guard let repository = request.query.text("repo") else {
      throw ApusError(.invalidArgument, "repository name must have at least one component")
    }
    let target = request.query.text("tag").map { "\(repository):\($0)" } ?? repository
    try await engine.images.tag(try request.parameter("name"), as: target)
    return .empty(.created)
  }

  @Sendable func removeImage(_ request: APIRequest) async throws -> Response {
    let removed = try await engine.images.remove(try request.parameter("name"), force: request.query.flag("force"))
    return .json(removed.map(ImageDeleteEntry.init))
  }

  @Sendable func pruneImages(_ request: APIRequest) async throws -> Response {
    let filters = try request.query.filters(accepted: ["dangling", "label", "label!", "until"])
    let danglingOnly = filters.flag("dangling") ?? true
    let until = try PruneLimit.until(filters)
    let pruned = try await engine.images.prune(all: !danglingOnly) { image in
      filters.allows(labels: image.config.config.labels ?? [:])
        && (until.map { (image.created ?? image.added) < $0 } ?? true)
    }
    var report = ImagesPruneReport()
    let entries = pruned.removed.map(ImageDeleteEntry.init)
    report.imagesDeleted = entries.isEmpty ? nil : entries
    report.spaceReclaimed = Int(pruned.reclaimed)
    return .json(report)
  }

  @Sendable func searchImages(_ request: APIRequest) async throws -> Response {
    let filters = try request.query.filters(accepted: ["is-automated", "is-official", "stars"])
    for name in ["is-automated", "is-official"] where !filters[name].isEmpty && filters.flag(name) == nil {
      throw ApusError(.invalidArgument, "invalid filter '\(name)=\(filters[name])'")
    }
    let stars = try filters["stars"].map { text in
      guard let number = Int(text) else { throw ApusError(.invalidArgument, "invalid filter 'stars=[\(text)]'") }
      return number
    }
    let found = try await engine.images.search(
      request.query.text("term") ?? "", limit: try request.query.number("limit").flatMap { $0 == 0 ? nil : $0 } ?? 25,
      credentials: try request.registryCredentials())
    return .json(
      found.filter { result in
        stars.allSatisfy { result.stars >= $0 }
          && (filters.flag("is-official").map { $0 == result.isOfficial } ?? true)
          && (filters.flag("is-automated").map { $0 == result.isAutomated } ?? true)
      }.map(ImageSearchResult.init))
  }

  @Sendable func inspectDistribution(_ request: APIRequest) async throws -> Response {
    let found = try await engine.images.distribution(
      of: try request.parameter("name"), credentials: try request.registryCredentials())
    var answer = DistributionInspect()
    answer.descriptor = DescriptorSummary(found.descriptor)
    answer.platforms = found.platforms.map(PlatformSummary.init)
    return .json(answer)
  }

  private func date(ofImage name: String?) async throws -> Date? {
    guard let name else { return nil }
    return try await engine.images.resolve(name).created
  }
}

extension ImageDeleteEntry {
  init(_ removal: ImageRemoval) {
    self.init()
    switch removal {
    case .untagged(let name): untagged = name
    case .deleted(let id): deleted = id.description
    }
  }
}

/// Patterns of the `reference` filter: `*` and `?` match within one component.
enum ImageName {
  static func matches(_ name: String, _ pattern: String) -> Bool {
    if glob(Array(name.utf8)[...], Array(pattern.utf8)[...]) { return true }
    // A pattern without a tag means every tag.
    guard let colon = name.lastIndex(of: ":"), !name[colon...].contains("/") else { return false }
    return glob(Array(name[..<colon].utf8)[...], Array(pattern.utf8)[...])
  }

  private static func glob(_ text: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>) -> Bool {
    var text = text
    var pattern = pattern
    // Where the last star was, and how much text it has taken: going back to it replaces recursion.
    var star: (pattern: ArraySlice<UInt8>, text: ArraySlice<UInt8>)?
    while true {
      if let wanted = pattern.first, wanted == UInt8(ascii: "*") {
        pattern = pattern.dropFirst()
        star = (pattern, text)
      } else if let wanted = pattern.first, let found = text.first,
        wanted == found || (wanted == UInt8(ascii: "?") && found != UInt8(ascii: "/"))
      {
        pattern = pattern.dropFirst()
        text = text.dropFirst()
      } else if pattern.isEmpty, text.isEmpty {
        return true
      } else if let last = star, let next = last.text.first, next != UInt8(ascii: "/") {
        star = (last.pattern, last.text.dropFirst())
        pattern = last.pattern
        text = last.text.dropFirst()
      } else {
        return false
      }
    }
  }
}

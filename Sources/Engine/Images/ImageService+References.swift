import Errors
import FoundationEssentials
import GRDB
import ImageSpec

extension ImageService {
  /// Gives the image that `source` means another name. A name that another image had moves.
  /// - Throws: `notFound`; `invalidArgument` for a name with a digest, or none at all.
  public func tag(_ source: String, as target: String) async throws {
    let image = try await resolve(source)
    let reference = try Reference(parsing: target)
    guard reference.digest == nil else {
      throw ApusError(.invalidArgument, "refusing to create a tag with a digest reference")
    }
    try await point(reference.withDefaultTag, at: image.id, from: source)
    event("tag", image.id.description, name: reference.withDefaultTag.familiar)
  }

  /// - Parameter source: what the user called the image; a name hands on what it stands for, an index perhaps.
  func point(_ reference: Reference, at id: Digest, from source: String) async throws {
    try await blocking.run { [self] in
      let unnamed = try write { database in
        guard let image = try ImageTable.image(id, database) else { throw Self.noSuchImage(id.description) }
        let named = (try? Reference(parsing: source)).map(Self.storedName)
        var target = image.manifest
        if let named, try ImageTable.imageID(named: named, database) == id {
          target = try ImageTable.target(named: named, database) ?? target
        }
        try ImageTable.point(reference.canonical, at: id, target: target, database)
        try ImageTable.touch(id, Date(), database)
        return try ImageTable.dropUnnamedIndexes(database)
      }
      if !unnamed.isEmpty { collectLater(unnamed) }
    }
  }

  // MARK: Removing

  /// Removes a name, and with its last name the image (Docker's `DELETE /images/{name}`).
  ///
  /// Given by name, the image goes with its last name. Given by ID, it goes if it has at most one name, or by force.
  /// - Throws: `notFound`; `conflict` in Docker's words while instances need it.
  public func remove(_ text: String, force: Bool = false) async throws -> [ImageRemoval] {
    let (removals, content) = try await forget(text, force: force)
    // The image is gone; nobody needs to wait for its files to go.
    collectLater(content)
    return removals
  }

  /// - Returns: also the bytes that this freed.
  func removeAndCount(_ text: String, force: Bool) async throws -> (removals: [ImageRemoval], freed: Int64) {
    let (removals, content) = try await forget(text, force: force)
    return (removals, await collect(content))
  }

  /// Removes names and record; what they needed is left to be collected.
  private func forget(
    _ text: String, force: Bool
  ) async throws -> (removals: [ImageRemoval], content: Set<StoredItem>) {
    let uses = await instanceUses()
    let outcome = try await blocking.run { [self] in
      try write { database -> (removals: [ImageRemoval], content: Set<StoredItem>, id: Digest) in
        guard let id = try Self.find(text, database) else { throw Self.noSuchImage(text) }
        let names = try ImageTable.names(of: id, database).compactMap { try? Reference(parsing: $0) }
        let removal = try ImageRemovalPlan(
          text: text, id: id, names: names, uses: uses.filter { $0.image == id }, force: force)
        for name in removal.names { try ImageTable.removeName(name.canonical, database) }
        var removals = removal.names.map { ImageRemoval.untagged($0.familiar) }
        guard removal.deletes else { return (removals, try ImageTable.dropUnnamedIndexes(database), id) }
        let content = Set(try ImageTable.content(of: id, database).keys)
        try ImageTable.removeImage(id, database)
        removals.append(.deleted(id))
        return (removals, content.union(try ImageTable.dropUnnamedIndexes(database)), id)
      }
    }
    for removal in outcome.removals {
      switch removal {
      case .untagged: event("untag", outcome.id.description, name: outcome.id.description)
      case .deleted: event("delete", outcome.id.description, name: outcome.id.description)
      }
    }
    return (outcome.removals, outcome.content)
  }

  /// Removes images that no instance uses: the dangling ones, or with `all` every one, that `include` agrees to.
  /// - Returns: what was removed, and the bytes that this freed.
  public func prune(
    all: Bool = false, include: @Sendable (Image) -> Bool = { _ in true }
  ) async throws -> (removed: [ImageRemoval], reclaimed: Int64) {
    let used = Set(await instanceUses().map(\.image))
    var removed: [ImageRemoval] = []
    var reclaimed: Int64 = 0
    for image in try await list() where (all || image.isDangling) && !used.contains(image.id) && include(image) {
      do {
        let removal = try await removeAndCount(image.id.description, force: true)
        removed += removal.removals
        reclaimed += removal.freed
      } catch let error as ApusError where error.code == .conflict || error.code == .notFound {
        // An instance was made of it, or somebody else removed it, just now.
        continue
      }
    }
    reclaimed += try await collectGarbage(olderThan: .seconds(3600))
    return (removed, reclaimed)
  }

  // MARK: History

  /// How the image was built, the newest step first.
  public func history(_ text: String) async throws -> [ImageHistoryEntry] {
    let image = try await resolve(text)
    var sizes = image.layerSizes.makeIterator()
    var entries = image.config.history.map { step in
      ImageHistoryEntry(
        id: nil, created: step.created.flatMap(RFC3339.date), createdBy: step.createdBy ?? "",
        size: step.emptyLayer == true ? 0 : sizes.next() ?? 0, comment: step.comment ?? "", references: [])
    }
    // A configuration need not tell its history; its layers are there all the same.
    while let size = sizes.next() {
      entries.append(
        ImageHistoryEntry(id: nil, created: image.created, createdBy: "", size: size, comment: "", references: []))
    }
    if !entries.isEmpty {
      entries[entries.count - 1].id = image.id
      entries[entries.count - 1].references = image.references
    }
    return entries.reversed()
  }
}

/// What a removal comes to, decided before anything is changed.
struct ImageRemovalPlan {
  /// Names to take away.
  private(set) var names: [Reference]
  /// The image itself goes too.
  private(set) var deletes: Bool

  /// - Throws: `conflict`, in the words that Docker's clients know.
  init(text: String, id: Digest, names all: [Reference], uses: [ImageUse], force: Bool) throws(ApusError) {
    let digits = text.hasPrefix("sha256:") ? String(text.dropFirst(7)) : text
    let named = (try? Reference(parsing: text)).map(ImageService.storedName)
    let byID = id.hex.hasPrefix(digits) && !all.contains { $0.canonical == named }
    // One tag at most, and everything in one repository: then the name and the image are the same thing to a user.
    let single = all.count { $0.digest == nil } <= 1 && Set(all.map(\.name)).count <= 1

    if byID {
      if !single && !force {
        throw Self.conflict(id, "must be forced", "image is referenced in multiple repositories")
      }
      names = all
      deletes = true
    } else {
      if !force, single, let use = uses.first {
        throw ApusError(
          .conflict,
          "conflict: unable to remove repository reference \"\(text)\" (must force) - container "
            + "\(use.instanceID.prefix(12)) is using its referenced image \(id.short)")
      }
      let removed = all.filter { $0.canonical == named }
      var rest = all.filter { $0.canonical != named }
      names = removed
      // With a repository's last tag its digests go too.
      if let reference = removed.first, reference.digest == nil,
        !rest.contains(where: { $0.name == reference.name && $0.digest == nil })
      {
        names += rest.filter { $0.name == reference.name }
        rest.removeAll { $0.name == reference.name }
      }
      deletes = rest.isEmpty
    }
    guard deletes else { return }
    if let use = uses.first(where: \.isRunning) {
      throw Self.conflict(
        id, "cannot be forced", "image is being used by running container \(use.instanceID.prefix(12))")
    }
    if !force, let use = uses.first {
      throw Self.conflict(id, "must be forced", "image is being used by stopped container \(use.instanceID.prefix(12))")
    }
  }

  private static func conflict(_ id: Digest, _ remedy: String, _ why: String) -> ApusError {
    ApusError(.conflict, "conflict: unable to delete \(id.short) (\(remedy)) - \(why)")
  }
}

import Errors
import FoundationEssentials
import Glibc
import ImageSpec
import Layers
import Linux

extension VolumeService {
  /// Everything an instance is to have mounted, with its volumes made, taken, and filled from the image where they are new.
  ///
  /// By Docker's rules: what `volumesFrom` brings gives way to the request's own mounts, the image's `VOLUME`s to both.
  ///
  /// - Parameters:
  ///   - image: what request and image came to; its `volumes` are the image's.
  ///   - layers: diff IDs of the image, lowest first.
  ///   - donor: the record of an instance that `volumesFrom` names.
  /// - Throws: with nothing left behind but named volumes that were made.
  public func resolveMounts(
    _ configuration: InstanceConfiguration, image: ResolvedProcess, layers diffIDs: [Digest], id: String,
    donor: (String) async throws -> InstanceRecord
  ) async throws -> [ResolvedMount] {
    // Most instances have none.
    if configuration.mounts.isEmpty, configuration.volumesFrom.isEmpty, image.volumes.isEmpty { return [] }
    var inherited: [ResolvedMount] = []
    for text in configuration.volumesFrom {
      let (name, readOnly) = try Self.parse(volumesFrom: text)
      let record: InstanceRecord
      do {
        record = try await donor(name)
      } catch let error as ApusError where error.code == .notFound {
        throw ApusError(.invalidArgument, error.message, cause: error)
      }
      for var mount in record.mounts {
        mount.readOnly = mount.readOnly || readOnly
        // They go with the instance they were made for.
        mount.anonymous = false
        inherited.append(mount)
      }
    }
    let plan = MountPlan(configuration.mounts, inherited: inherited, imageVolumes: image.volumes)
    let (mounts, made) = try await blocking.run { [self] in try take(plan, layers: diffIDs, id: id) }
    for name in made { event("create", name) }
    return mounts
  }

  /// Makes and fills what is missing. Blocks.
  private func take(
    _ plan: MountPlan, layers diffIDs: [Digest], id: String
  ) throws -> (mounts: [ResolvedMount], made: [String]) {
    var mounts: [ResolvedMount] = []
    var made: [String] = []
    var taken: [Volume] = []
    do {
      var filler = VolumeFiller(layers: layers, diffIDs: diffIDs)
      for item in plan.items {
        switch item {
        case .inherited(let mount):
          if mount.kind == .volume {
            taken.append(try ensure(mount.name, driver: nil, options: [:], labels: [:], user: id).volume)
          }
          mounts.append(mount)
        case .own(let mount) where mount.kind != .volume:
          mounts.append(ResolvedMount(mount, source: mount.kind == .bind ? cleanPath(mount.source) : ""))
        case .own(let mount):
          let (volume, new) = try ensure(
            mount.source, driver: mount.volumeDriver, options: mount.volumeOptions, labels: mount.volumeLabels, user: id
          )
          taken.append(volume)
          if new { made.append(volume.name) }
          if !mount.noCopy, volume.options.isEmpty { try filler.fill(volume, from: mount.target) }
          mounts.append(ResolvedMount(mount, volume: volume))
        case .image(let target):
          let (volume, _) = try ensure("", driver: nil, options: [:], labels: [:], user: id)
          taken.append(volume)
          made.append(volume.name)
          try filler.fill(volume, from: target)
          mounts.append(ResolvedMount(MountConfiguration(.volume, target: target), volume: volume))
        }
      }
    } catch {
      let failed = taken.map { volume in
        var mount = ResolvedMount(MountConfiguration(.volume, target: "/"), volume: volume)
        // One that was there before, or that somebody else has too, stays.
        mount.anonymous = volume.anonymous && made.contains(volume.name)
        return mount
      }
      Task { await self.release(failed, of: id, removeAnonymous: true) }
      throw error
    }
    return (mounts, made)
  }

  /// `name`, `name:ro`, `name:rw`.
  static func parse(volumesFrom text: String) throws(ApusError) -> (name: String, readOnly: Bool) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard let name = parts.first, !name.isEmpty else {
      throw ApusError(.invalidArgument, "volumes-from specification cannot be an empty string")
    }
    guard parts.count == 2 else { return (name, false) }
    var readOnly = false
    for mode in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
      switch mode {
      case "ro": readOnly = true
      case "rw", "z", "Z": break
      default: throw ApusError(.invalidArgument, "invalid mode: \(parts[1])")
      }
    }
    return (name, readOnly)
  }
}

/// Which mount is on which target, where several claim it.
struct MountPlan: Sendable {
  enum Item: Sendable {
    case inherited(ResolvedMount)
    case own(MountConfiguration)
    /// A volume that only the image asks for.
    case image(String)
  }
  private(set) var items: [Item] = []

  init(_ own: [MountConfiguration], inherited: [ResolvedMount], imageVolumes: [String]) {
    var byTarget: [String: Int] = [:]
    var chosen: [Item] = []
    func put(_ item: Item, on target: String) {
      if let position = byTarget[target] {
        chosen[position] = item
      } else {
        byTarget[target] = chosen.count
        chosen.append(item)
      }
    }
    for mount in inherited { put(.inherited(mount), on: mount.target) }
    func isAnonymous(_ mount: MountConfiguration) -> Bool { mount.kind == .volume && mount.source.isEmpty }
    for var mount in own where !isAnonymous(mount) {
      mount.target = cleanPath(mount.target)
      put(.own(mount), on: mount.target)
    }
    for var mount in own where isAnonymous(mount) {
      mount.target = cleanPath(mount.target)
      if byTarget[mount.target] == nil { put(.own(mount), on: mount.target) }
    }
    for target in imageVolumes.map(cleanPath) where target != "/" && byTarget[target] == nil {
      put(.image(target), on: target)
    }
    items = chosen
  }
}

/// Fills new volumes with what the image has at their place.
private struct VolumeFiller {
  let layers: any LayerStore
  let diffIDs: [Digest]
  private var image: DetachedRoot?

  init(layers: any LayerStore, diffIDs: [Digest]) {
    self.layers = layers
    self.diffIDs = diffIDs
  }

  mutating func fill(_ volume: Volume, from target: String) throws {
    let directory = try Files.open(volume.mountpoint, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    // One with content in it, its owner's, stays as it is.
    guard try Files.entries(of: directory.raw).isEmpty, !diffIDs.isEmpty else { return }
    let root: DetachedRoot
    if let image {
      root = image
    } else {
      root = try DetachedRoot(layers: diffIDs, store: layers)
      image = root
    }
    do {
      _ = try Tree.copyContents(from: root.descriptor, path: target, to: directory.raw)
    } catch {
      throw ApusError(
        error.code, "filling volume \(volume.name) with the image's \(target): \(error.message)", cause: error)
    }
  }
}

extension ResolvedMount {
  init(_ mount: MountConfiguration, source: String) {
    self.init(
      kind: mount.kind, name: "", source: source, target: cleanPath(mount.target), readOnly: mount.readOnly,
      propagation: mount.kind == .bind ? mount.propagation.flatMap { $0.isEmpty ? nil : $0 } ?? "rprivate" : "",
      anonymous: false, driver: "")
  }

  init(_ mount: MountConfiguration, volume: Volume) {
    self.init(
      kind: .volume, name: volume.name, source: volume.mountpoint, target: cleanPath(mount.target),
      readOnly: mount.readOnly, propagation: "rprivate", anonymous: volume.anonymous, driver: volume.driver)
  }
}

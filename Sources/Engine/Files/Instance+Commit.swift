import Errors
import Glibc
import ImageSpec
import Layers
import Linux

extension Instance {
  /// Makes an image of the instance: its image's layers, what it wrote as one more, and its settings.
  ///
  /// - Returns: the new image's ID.
  public func commit(_ options: CommitOptions) async throws -> Digest {
    try checkPresent("commit")
    let record = current
    let base = try await services.images.resolve(record.imageID.description)
    // The new layer belongs to no image until there is one.
    let hold = services.images.holdEverything()
    defer { hold.release() }

    let pauses = options.pause && record.state.status == .running
    if pauses { try await pause() }
    let layer: IngestedLayer
    do {
      layer = try await writableLayer()
    } catch {
      if pauses { try? await resume() }
      throw error
    }
    // It may have ended meanwhile.
    if pauses { try? await resume() }

    var commit = ImageCommit(base: base, layer: layer, reference: options.reference)
    commit.config = ImageConfiguration.Config(committing: record, base: base.config.config)
    commit.changes = options.changes
    commit.author = options.author.isEmpty ? nil : options.author
    commit.comment = options.comment.isEmpty ? nil : options.comment
    commit.createdBy = record.resolved.arguments.joined(separator: " ")
    commit.container = id
    let image = try await services.images.commitImage(commit)
    publish("commit", options.comment.isEmpty ? [:] : ["comment": options.comment])
    return image.id
  }

  private func writableLayer() async throws -> IngestedLayer {
    let (paths, layers) = (paths, services.layers)
    let (archive, upper, ingest) = try await services.blocking.run {
      let upper = try Files.open(paths.upper, flags: O_RDONLY | O_DIRECTORY).release()
      let root = TreeRoot(descriptor: upper)
      return (
        try Tree.layerTar(upper: root.descriptor), root,
        try LayerIngest(store: layers, keepBlob: true, compressTo: .gzip)
      )
    }
    return try await services.images.ingest(ByteStream(archive, of: upper, on: services.blocking), with: ingest)
  }
}

extension ImageConfiguration.Config {
  /// An instance's settings as an image's.
  init(committing record: InstanceRecord, base: ImageConfiguration.Config) {
    self = base
    let resolved = record.resolved
    func some<Value: Collection>(_ value: Value) -> Value? { value.isEmpty ? nil : value }
    user = some(resolved.user)
    env = some(resolved.environment)
    entrypoint = resolved.entrypoint
    cmd = resolved.command
    workingDir = resolved.workingDirectory == "/" ? nil : resolved.workingDirectory
    labels = some(resolved.labels)
    exposedPorts = some(resolved.exposedPorts)
    // Those the request asked for without a name are the image's from now on.
    let anonymous = record.configuration.mounts.filter { $0.kind == .volume && $0.source.isEmpty }.map(\.target)
    volumes = some(Set(resolved.volumes + anonymous.map(cleanPath)).sorted())
    stopSignal = resolved.stopSignal
    healthcheck = resolved.healthCheck.map {
      ImageConfiguration.HealthCheck(
        test: $0.test, interval: $0.interval, timeout: $0.timeout, startPeriod: $0.startPeriod,
        startInterval: $0.startInterval, retries: $0.retries)
    }
  }
}

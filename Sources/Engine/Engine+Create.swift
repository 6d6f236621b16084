import Errors
import FoundationEssentials
import Glibc
import ImageSpec
import Linux
import Logging

extension Engine {
  /// Makes an instance of an image that is here already (`notFound` with Docker's `No such image: …` otherwise).
  ///
  /// - Parameter platform: `os/architecture[/variant]` the image must be of; nil: whatever the image is.
  /// - Throws: `invalidArgument` for what is wrong with the request, `conflict` for a name in use. Nothing is left behind.
  public func create(
    _ configuration: InstanceConfiguration, name: String?, platform: String? = nil
  ) async throws -> CreatedInstance {
    var (configuration, warnings) = try ConfigurationValidation().validate(configuration)
    configuration.network = try services.networks.resolved(configuration.network, warnings: &warnings)
    let image = try await images.resolve(configuration.image)
    if let platform, !platform.isEmpty { try Self.verify(image, is: platform) }
    let resolved = try ResolvedProcess(configuration, image: image.config.config)
    _ = try configuration.log.target(path: "log")

    // Until the instance itself keeps them, nobody may collect its layers, whatever becomes of the image.
    let hold = ContentHold(image.layers, owner: images)
    defer { hold.release() }
    let id =
      services.standby.takeID(network: configuration.network.usualNetworkID, services) ?? InstanceName.newIdentifier()
    do {
      return CreatedInstance(
        id: try await create(configuration, id: id, name: name, image: image, resolved: resolved), warnings: warnings)
    } catch {
      services.standby.dismiss(id, services)
      throw error
    }
  }

  private func create(
    _ configuration: InstanceConfiguration, id: String, name: String?, image: Image, resolved: ResolvedProcess
  ) async throws -> String {
    let name = try reserveName(name, for: id)
    do {
      var record = InstanceRecord(
        id: id, name: name, created: Date(), configuration: configuration, imageID: image.id, resolved: resolved,
        layers: image.layers)
      record.mounts = try await services.volumes.resolveMounts(
        configuration, image: resolved, layers: image.layers, id: id
      ) { [services] in try await services.index.resolve($0).record }
      do {
        try await store(record)
      } catch {
        await services.volumes.release(record, removeAnonymous: true)
        throw error
      }
      let instance = Instance(record: record, services: services)
      services.index.insert(instance)
      await instance.publish("create")
    } catch {
      services.index.release(name: name, of: id)
      throw error
    }
    return id
  }

  /// Its directories and its row, or nothing. Layer files that are gone are made again first.
  private func store(_ record: InstanceRecord) async throws {
    if try await insert(record) { return }
    try await images.restoreLayers(record.layers)
    guard try await insert(record) else { throw ImageService.noSuchImage(record.configuration.image) }
  }

  /// - Returns: false where a layer is missing.
  private func insert(_ record: InstanceRecord) async throws -> Bool {
    try await services.lifecycle.run { [services] in
      guard record.layers.allSatisfy(services.layers.contains) else { return false }
      let paths = services.paths.instance(record.id)
      try check(mkdir(paths.directory, 0o710), "cannot make the directory \(paths.directory)")
      do {
        try Files.makeDirectory(paths.upper)
        try Files.makeDirectory(paths.work, mode: 0o700)
        try services.store.insert(record)
      } catch {
        try? services.trash.discard(paths.directory, as: record.id)
        throw error
      }
      return true
    }
  }

  private func reserveName(_ asked: String?, for id: String) throws -> String {
    if let asked, !asked.isEmpty {
      let name = try InstanceName.validated(asked)
      try services.index.reserve(name: name, for: id)
      return name
    }
    var attempt = 0
    while true {
      let name = InstanceName.generated(attempt: attempt)
      if (try? services.index.reserve(name: name, for: id)) != nil { return name }
      attempt += 1
    }
  }

  private static func verify(_ image: Image, is text: String) throws {
    guard try Platform(parsing: text).distance(to: image.platform) != nil else {
      throw ApusError(
        .notFound,
        "image with reference \(image.references.first ?? image.id.description) was found but does not provide the "
          + "specified platform (\(text))")
    }
  }
}

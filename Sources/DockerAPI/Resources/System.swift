import DockerTypes
import Engine
import Errors
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import Registry
import Synchronization

/// The daemon itself: `/_ping`, `/version`, `/info`, `/auth`, `/system/df`.
extension DockerAPI {
  func addSystem(to router: Router<APIContext>) {
    router.add(.get, "_ping", ping)
    router.add(.head, "_ping", ping)
    router.add(.get, "version", version)
    router.add(.get, "info", info)
    router.add(.post, "auth", authenticate)
    router.add(.get, "system/df", diskUsage)
    router.add(.get, "events", events)
  }

  @Sendable func ping(_ request: APIRequest) async throws -> Response {
    var response = Response.text("OK")
    response.headers[.cacheControl] = "no-cache, no-store, must-revalidate"
    response.headers[.pragma] = "no-cache"
    response.headers[.builderVersion] = ""
    response.headers[.swarm] = "inactive"
    return response
  }

  /// The same for as long as the daemon lives, and asked for by many clients before anything else.
  @Sendable func version(_ request: APIRequest) async throws -> Response {
    if let version = versionAnswer.get() { return .json(version) }
    let version = SystemVersion(await engine.information())
    versionAnswer.set(version)
    return .json(version)
  }

  @Sendable func info(_ request: APIRequest) async throws -> Response {
    .json(SystemInfo(await engine.information(), root: engine.configuration.root))
  }

  @Sendable func authenticate(_ request: APIRequest) async throws -> Response {
    let wire = try await request.body(DockerTypes.RegistryCredentials.self)
    guard let credentials = Registry.RegistryCredentials(wire) else {
      throw ApusError(.invalidArgument, "there is neither a user name nor a token in the credentials")
    }
    do {
      try await engine.images.checkCredentials(credentials, server: wire.serveraddress ?? "")
    } catch let error as ApusError where error.code == .permissionDenied {
      // Clients ask again for the password at 401, and at nothing else.
      return ErrorTable.response(.unauthorized, error.message)
    }
    var answer = AuthResponse()
    answer.status = "Login Succeeded"
    return .json(answer)
  }

  @Sendable func diskUsage(_ request: APIRequest) async throws -> Response {
    let wanted = Set(request.query.all("type"))
    func wants(_ type: String) -> Bool { wanted.isEmpty || wanted.contains(type) }
    var usage = DiskUsage()
    if wants("image") {
      let images = try await engine.images.diskUsage()
      usage.layersSize = Int(images.stored)
      usage.imageUsage = ImagesDiskUsage(images)
      usage.images = images.images.map { ImageSummary($0, version: request.version) }
    }
    if wants("container") {
      usage.containers = try await containerSummaries(
        await engine.instances(), sizes: true, networks: await networkDirectory())
    }
    if wants("volume") {
      usage.volumes = try await engine.volumes.list(withUsage: true).map { VolumeSummary($0, withUsage: true) }
    }
    if wants("build-cache") { usage.buildCache = [] }
    if request.version < .withoutVirtualSize { usage.builderSize = 0 }
    return .json(usage)
  }
}

extension SystemVersion {
  init(_ information: EngineInformation) {
    self.init()
    platform.name = "Apus"
    version = ApusVersion.current
    apiVersion = DockerAPIVersion.current
    minAPIVersion = DockerAPIVersion.minimum
    os = "linux"
    arch = information.architecture
    kernelVersion = information.kernelVersion
    var component = VersionComponent()
    component.name = "Engine"
    component.version = version
    component.details = [
      "ApiVersion": apiVersion, "MinAPIVersion": minAPIVersion, "Os": os, "Arch": arch, "KernelVersion": kernelVersion,
      "Experimental": "false",
    ]
    components = [component]
  }
}

/// A value that is worked out once.
final class Memo<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)

  func get() -> Value? { value.withLock { $0 } }
  func set(_ new: Value) { value.withLock { $0 = new } }
}

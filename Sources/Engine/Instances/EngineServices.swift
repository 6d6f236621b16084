import Layers
import Linux
import Logging
import Synchronization

/// What instances need of the rest of the engine; made once, shared by all of them.
final class EngineServices: Sendable {
  let configuration: EngineConfiguration
  /// Tells this root from others, for good.
  let identity: String
  let paths: EnginePaths
  let logger: Logger
  let events: EventBus
  let index: InstanceIndex
  let database: StateDatabase
  let store: InstanceStore
  let content: ContentStore
  let layers: any LayerStore
  let images: ImageService
  let volumes: VolumeService
  let networks: NetworkService
  let trash: Trash
  let cgroups: any CgroupDriver
  let runtime: RuntimeExecutable
  let reactor: ShimReactor
  /// Threads for system calls that block; the cooperative pool has one thread per CPU and must not.
  let blocking: BlockingPool
  /// The same for the short steps of create, start and remove alone, so that they never queue behind an archive.
  let lifecycle = BlockingPool(threads: 4)
  let standby = StandbyShims()
  let seccomp: SeccompDocuments
  private let closing = Atomic<Bool>(false)

  init(
    configuration: EngineConfiguration, identity: String, logger: Logger, events: EventBus, index: InstanceIndex,
    database: StateDatabase, store: InstanceStore, content: ContentStore, layers: any LayerStore,
    images: ImageService, volumes: VolumeService, networks: NetworkService, trash: Trash, cgroups: any CgroupDriver,
    runtime: RuntimeExecutable, reactor: ShimReactor, blocking: BlockingPool
  ) {
    self.configuration = configuration
    self.identity = identity
    self.paths = EnginePaths(configuration)
    self.seccomp = SeccompDocuments(directory: paths.seccompCache)
    self.logger = logger
    self.events = events
    self.index = index
    self.database = database
    self.store = store
    self.content = content
    self.layers = layers
    self.images = images
    self.volumes = volumes
    self.networks = networks
    self.trash = trash
    self.cgroups = cgroups
    self.runtime = runtime
    self.reactor = reactor
    self.blocking = blocking
  }

  /// The engine is closing: connections that break say nothing about their instances, and nothing is started any more.
  var isClosing: Bool { closing.load(ordering: .acquiring) }

  func beginClosing() { closing.store(true, ordering: .releasing) }
}

import Layers
import Linux
import Logging

/// What instances need of the rest of the engine; made once, shared by all of them.
final class EngineServices: Sendable {
  let configuration: EngineConfiguration
  let paths: EnginePaths
  let logger: Logger
  let events: EventBus
  let index: InstanceIndex
  let content: ContentStore
  let layers: EROFSLayerStore
  let images: ImageService
  let volumes: VolumeService
  /// Threads for system calls that block; the cooperative pool has one thread per CPU and must not.
  let blocking: BlockingPool

  init(
    configuration: EngineConfiguration, logger: Logger, events: EventBus, index: InstanceIndex,
    content: ContentStore, layers: EROFSLayerStore, images: ImageService, volumes: VolumeService,
    blocking: BlockingPool
  ) {
    self.configuration = configuration
    self.paths = EnginePaths(configuration)
    self.logger = logger
    self.events = events
    self.index = index
    self.content = content
    self.layers = layers
    self.images = images
    self.volumes = volumes
    self.blocking = blocking
  }
}

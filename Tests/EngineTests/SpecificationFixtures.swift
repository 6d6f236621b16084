import FoundationEssentials
import ImageSpec
import Linux

@testable import Engine

extension HostFacts {
  /// A host like any: four CPUs, one memory node, cgroup v2, all capabilities.
  static var example: HostFacts {
    var host = HostFacts()
    host.architecture = "amd64"
    host.kernel = KernelVersion(major: 6, minor: 1)
    host.cpus = IndexList(0...3)
    host.memoryNodes = IndexList(0...0)
    host.unifiedCgroups = true
    host.capabilities = .all
    host.mayRaiseLimits = true
    host.oomScoreAdjustment = 0
    host.supportsSwapLimit = true
    host.supportsSwappiness = true
    host.supportsOOMKillDisable = true
    host.supportsBlockWeight = true
    host.supportsPingGroupRange = true
    host.supportsUnprivilegedPortStart = true
    host.supportsAppArmor = false
    host.defaultAppArmorProfile = nil
    host.thermalThrottlePaths = []
    return host
  }
}

func exampleRecord(
  _ configuration: InstanceConfiguration, image: ImageConfiguration.Config = ImageConfiguration.Config(),
  mounts: [ResolvedMount] = []
) throws -> InstanceRecord {
  var configuration = configuration
  if configuration.process.command == nil { configuration.process.command = ["true"] }
  let id = String(repeating: "0123456789abcdef", count: 4)
  var record = InstanceRecord(
    id: id, name: "example", created: Date(timeIntervalSince1970: 0), configuration: configuration,
    imageID: try Digest(parsing: "sha256:" + id), resolved: try ResolvedProcess(configuration, image: image), layers: []
  )
  record.mounts = mounts
  return record
}

func exampleContext(_ host: HostFacts = .example, peers: [String: SandboxContext.Peer] = [:]) -> SandboxContext {
  let engine = EnginePaths(EngineConfiguration(root: "/root", runDirectory: "/run/x", runtimePath: "/bin/true"))
  return SandboxContext(
    paths: engine.instance(String(repeating: "0123456789abcdef", count: 4)), cgroupParent: "apus", host: host,
    peers: peers)
}

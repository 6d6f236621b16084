import DockerTypes
import Engine
import FoundationEssentials
import ImageSpec
import Testing

@testable import DockerAPI

func decoded<Value: Decodable>(_ type: Value.Type, _ json: String) throws -> Value {
  try JSONDecoder().decode(type, from: Data(json.utf8))
}

func json(_ value: some Encodable) throws -> String {
  String(decoding: try WireEncoder.encode(value), as: UTF8.self)
}

/// A record as the engine would make it of a request.
func exampleRecord(_ request: ContainerCreateRequest, status: InstanceStatus = .created) throws -> InstanceRecord {
  let configuration = try InstanceConfiguration(request)
  var resolved = ResolvedProcess()
  resolved.entrypoint = configuration.process.entrypoint
  resolved.command = configuration.process.command
  resolved.arguments = (configuration.process.entrypoint ?? []) + (configuration.process.command ?? [])
  resolved.environment = configuration.process.environment
  resolved.workingDirectory = configuration.process.workingDirectory ?? "/"
  resolved.user = configuration.process.user ?? ""
  resolved.labels = configuration.labels
  resolved.exposedPorts = configuration.network.exposedPorts
  resolved.stopSignal = configuration.stopSignal
  resolved.healthCheck = configuration.healthCheck
  let digest = try Digest(parsing: "sha256:" + String(repeating: "ab", count: 32))
  var record = InstanceRecord(
    id: String(repeating: "0123456789abcdef", count: 4), name: "web",
    created: Date(timeIntervalSince1970: 1_700_000_000),
    configuration: configuration, imageID: digest, resolved: resolved, layers: [])
  record.state.status = status
  return record
}

let examplePaths = EnginePaths(
  EngineConfiguration(root: "/var/lib/apus", runDirectory: "/run/apus", runtimePath: "/usr/libexec/apus-runtime"))

func inspect(_ record: InstanceRecord) -> ContainerInspect {
  ContainerInspect(record, paths: examplePaths.instance(record.id), storage: "erofs")
}

/// What the stock client sends for `docker run` with many options.
let clientCreate = """
  {"Hostname":"h","Domainname":"","User":"1:2","AttachStdin":false,"AttachStdout":true,"AttachStderr":true,
  "ExposedPorts":{"80/tcp":{}},"Tty":true,"OpenStdin":true,"StdinOnce":true,"Env":["A=1","B"],"Cmd":["sh","-c","x y"],
  "Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000,"Retries":4},"Image":"debian:12",
  "Volumes":{"/v":{}},"WorkingDir":"/w","Entrypoint":null,"OnBuild":null,"Labels":{"k":"v"},"StopSignal":"SIGINT",
  "StopTimeout":7,"HostConfig":{"Binds":["/src:/dst:ro,rslave","named:/data"],"ContainerIDFile":"",
  "LogConfig":{"Type":"","Config":{}},"NetworkMode":"none","PortBindings":{},
  "RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":["o:ro"],
  "ConsoleSize":[24,80],"CapAdd":["NET_ADMIN"],"CapDrop":["ALL"],"CgroupnsMode":"private","Dns":["1.1.1.1"],
  "DnsOptions":[],"DnsSearch":[],"ExtraHosts":["x:1.2.3.4"],"GroupAdd":["audio"],"IpcMode":"host","Cgroup":"",
  "Links":null,"OomScoreAdj":5,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":true,
  "SecurityOpt":["no-new-privileges","seccomp=unconfined"],"Tmpfs":{"/t":"size=1m,noexec"},"UTSMode":"","UsernsMode":"",
  "ShmSize":1048576,"Sysctls":{"net.ipv4.ip_forward":"1"},"Isolation":"","CpuShares":512,"Memory":67108864,
  "NanoCpus":1500000000,"CgroupParent":"","BlkioWeight":300,"BlkioWeightDevice":[],"BlkioDeviceReadBps":
  [{"Path":"/dev/sda","Rate":1000}],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],
  "CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"0-1","CpusetMems":"",
  "Devices":[{"PathOnHost":"/dev/null","PathInContainer":"/dev/x","CgroupPermissions":"r"}],"DeviceCgroupRules":["c 1:3 r"],
  "DeviceRequests":null,"MemoryReservation":0,"MemorySwap":-1,"MemorySwappiness":-1,"OomKillDisable":false,
  "PidsLimit":100,"Ulimits":[{"Name":"NOFILE","Hard":2048,"Soft":1024}],"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,
  "IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null,"Init":true,
  "Mounts":[{"Type":"tmpfs","Target":"/m","TmpfsOptions":{"SizeBytes":1000,"Mode":448}}]},
  "NetworkingConfig":{"EndpointsConfig":{"none":{"Aliases":["al"]}}},"FutureField":{"x":1}}
  """

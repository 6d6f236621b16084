import DockerTypes
import Engine
import FoundationEssentials
import ImageSpec
import Netlink
import Networking
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
  var configuration = try InstanceConfiguration(request)
  let mode = configuration.network.mode
  if !["host", "none"].contains(mode), !configuration.network.endpoints.contains(where: { $0.network == mode }) {
    configuration.network.endpoints.append(EndpointConfiguration(network: mode))
  }
  for index in configuration.network.endpoints.indices {
    let name = configuration.network.endpoints[index].network
    configuration.network.endpoints[index].networkID = exampleNetworks.first { $0.name == name }?.id ?? ""
  }
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
  ContainerInspect(
    record, paths: examplePaths.instance(record.id), storage: "erofs", networks: NetworkDirectory(exampleNetworks))
}

/// The predefined ones, and two that somebody made.
let exampleNetworks: [NetworkInformation] = {
  func network(_ name: String, _ digit: String, _ driver: String, _ subnets: [(String, String)]) -> NetworkInformation {
    var network = NetworkInformation(
      id: String(repeating: digit, count: 64), name: name, created: Date(timeIntervalSince1970: 1_700_000_000),
      driver: driver)
    network.pools = subnets.map { PoolRequest(subnet: $0.0, gateway: $0.1) }
    network.isPredefined = ["bridge", "host", "none"].contains(name)
    return network
  }
  var back = network("back", "b", "bridge", [("10.9.0.0/24", "10.9.0.1")])
  back.isInternal = true
  back.labels = ["tier": "2"]
  return [
    back, network("bridge", "d", "bridge", [("172.17.0.0/16", "172.17.0.1"), ("fd00:17::/64", "fd00:17::1")]),
    network("front", "f", "bridge", [("172.18.0.0/16", "172.18.0.1")]), network("host", "1", "host", []),
    network("none", "0", "null", []),
  ]
}()

/// The record as it is while it runs: in every network it is to be in, with the last byte of its addresses.
func running(_ record: InstanceRecord, _ last: String, ports: [PublishedPort] = []) throws -> InstanceRecord {
  var record = record
  record.state.status = .running
  record.state.pid = 42
  record.state.ports = ports
  record.state.endpoints = try record.configuration.network.endpoints.map { configuration in
    let network = try #require(exampleNetworks.first { $0.id == configuration.networkID })
    var endpoint = Endpoint(
      id: String(repeating: "e", count: 64), networkID: network.id, interface: "eth0",
      mac: try #require(MACAddress("02:00:00:00:00:" + last)))
    for subnet in network.pools.compactMap({ $0.subnet.flatMap { IPSubnet($0) } }) {
      let address = IPAddress(subnet.family, subnet.first.value + (UInt128(last, radix: 16) ?? 0))
      let interface = IPSubnet(address, prefixLength: subnet.prefixLength)
      if subnet.family == .v4 { endpoint.ipv4 = interface } else { endpoint.ipv6 = interface }
    }
    return AttachedEndpoint(networkName: network.name, endpoint: endpoint)
  }
  return record
}

/// What the stock client sends for `docker run` with many options.
let clientCreate = """
  {"Hostname":"h","Domainname":"","User":"1:2","AttachStdin":false,"AttachStdout":true,"AttachStderr":true,
  "ExposedPorts":{"80/tcp":{}},"Tty":true,"OpenStdin":true,"StdinOnce":true,"Env":["A=1","B"],"Cmd":["sh","-c","x y"],
  "Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000,"Retries":4},"Image":"debian:12",
  "Volumes":{"/v":{}},"WorkingDir":"/w","Entrypoint":null,"OnBuild":null,"Labels":{"k":"v"},"StopSignal":"SIGINT",
  "StopTimeout":7,"HostConfig":{"Binds":["/src:/dst:ro,rslave","named:/data"],"ContainerIDFile":"",
  "LogConfig":{"Type":"","Config":{}},"NetworkMode":"front","PortBindings":
  {"80/tcp":[{"HostIp":"","HostPort":"8080-8090"}],"53/udp":[{"HostIp":"127.0.0.1","HostPort":""}]},
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
  "NetworkingConfig":{"EndpointsConfig":{"front":{"Aliases":["al"],"MacAddress":"02:42:ac:12:00:09",
  "IPAMConfig":{"IPv4Address":"172.18.0.9"},"Links":["db"],"DriverOpts":{"k":"v"},"GwPriority":3}}},"FutureField":{"x":1}}
  """

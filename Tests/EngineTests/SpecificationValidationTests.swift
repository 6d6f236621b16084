import Errors
import Testing

@testable import Engine

@Suite struct SpecificationValidationTests {
  private func validate(
    host: HostFacts = .example, _ change: (inout InstanceConfiguration) -> Void
  ) throws(ApusError) -> (configuration: InstanceConfiguration, warnings: [String]) {
    var configuration = InstanceConfiguration()
    change(&configuration)
    return try ConfigurationValidation(host: host).validate(configuration)
  }

  private func refused(
    _ sentence: String, code: ErrorCode = .invalidArgument, host: HostFacts = .example,
    at location: SourceLocation = #_sourceLocation, _ change: (inout InstanceConfiguration) -> Void
  ) {
    let error = #expect(throws: ApusError.self, sourceLocation: location) { try validate(host: host, change) }
    #expect(error?.message == sentence, sourceLocation: location)
    #expect(error?.code == code, sourceLocation: location)
  }

  @Test func plainRequestPasses() throws {
    let result = try validate { _ in }
    #expect(result.warnings.isEmpty)
    #expect(result.configuration == InstanceConfiguration())
  }

  @Test func memory() throws {
    refused("Minimum memory limit allowed is 6MB") { $0.resources.memory = 6_291_455 }
    refused("Minimum memoryswap limit should be larger than memory limit, see usage") {
      $0.resources.memory = 20 << 20
      $0.resources.memorySwap = 10 << 20
    }
    refused("You should always set the Memory limit when using Memoryswap limit, see usage") {
      $0.resources.memorySwap = 10 << 20
    }
    refused("Invalid value: 101, valid memory swappiness range is 0-100") { $0.resources.memorySwappiness = 101 }
    refused("Minimum memory limit can not be less than memory reservation limit, see usage") {
      $0.resources.memory = 10 << 20
      $0.resources.memoryReservation = 11 << 20
    }
    #expect(try validate { $0.resources.memory = 10 << 20 }.configuration.resources.memorySwap == 20 << 20)
    #expect(try validate { $0.resources.memory = .max }.configuration.resources.memorySwap == -1)
  }

  @Test func whatTheHostCannotLimitIsLeftOutWithAWarning() throws {
    var host = HostFacts.example
    host.supportsSwapLimit = false
    host.supportsSwappiness = false
    host.supportsBlockWeight = false
    let result = try validate(host: host) {
      $0.resources.memory = 10 << 20
      $0.resources.memorySwap = 20 << 20
      $0.resources.memorySwappiness = 10
      $0.resources.blkioWeight = 500
    }
    #expect(result.warnings.count == 3)
    #expect(result.configuration.resources.memorySwap == -1)
    #expect(result.configuration.resources.memorySwappiness == nil)
    #expect(result.configuration.resources.blkioWeight == nil)
  }

  @Test func processors() {
    refused("range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available") {
      $0.resources.nanoCPUs = 4_000_000_001
    }
    refused("Conflicting options: Nano CPUs and CPU Period cannot both be set") {
      $0.resources.nanoCPUs = 1
      $0.resources.cpuPeriod = 1000
    }
    refused("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)") {
      $0.resources.cpuPeriod = 999
    }
    refused("CPU cfs quota can not be less than 1ms (i.e. 1000)") { $0.resources.cpuQuota = 999 }
    refused("Requested CPUs are not available - requested 0-4, available: 0-3") { $0.resources.cpusetCPUs = "0-4" }
    refused("Requested memory nodes are not available - requested 1, available: 0") { $0.resources.cpusetMems = "1" }
    refused("Invalid value 3-1 for cpuset cpus") { $0.resources.cpusetCPUs = "3-1" }
    refused("Invalid value 0-99999999999 for cpuset cpus") { $0.resources.cpusetCPUs = "0-99999999999" }
    refused("invalid CPU shares (-1): value must be a positive integer") { $0.resources.cpuShares = -1 }
  }

  @Test func blockDevices() {
    refused("Range of blkio weight is from 10 to 1000") { $0.resources.blkioWeight = 9 }
    refused("stat /nowhere: no such file or directory") {
      $0.resources.blkioReadBps = [DeviceRate(path: "/nowhere", rate: 1)]
    }
    refused("/dev/null is not a block device: its I/O cannot be limited") {
      $0.resources.blkioWriteIOPS = [DeviceRate(path: "/dev/null", rate: 1)]
    }
  }

  @Test func ulimits() throws {
    refused("invalid ulimit type: nofiles") { $0.resources.ulimits = [Ulimit(name: "nofiles", soft: 1, hard: 1)] }
    refused("ulimit soft limit must be less than or equal to hard limit: 2 > 1") {
      $0.resources.ulimits = [Ulimit(name: "nofile", soft: 2, hard: 1)]
    }
    var host = HostFacts.example
    host.mayRaiseLimits = false
    let error = #expect(throws: ApusError.self) {
      try validate(host: host) { $0.resources.ulimits = [Ulimit(name: "nofile", soft: 1, hard: -1)] }
    }
    #expect(error?.message.hasPrefix("ulimit nofile: the hard limit unlimited is above this host's ") == true)
    #expect(error?.code == .invalidArgument)
    _ = try validate { $0.resources.ulimits = [Ulimit(name: "nofile", soft: 1, hard: -1)] }
  }

  @Test func oomScores() throws {
    refused("Invalid value -1001, range for oom score adj is [-1000, 1000]") { $0.resources.oomScoreAdj = -1001 }
    var host = HostFacts.example
    host.mayRaiseLimits = false
    #expect(throws: ApusError.self) { try validate(host: host) { $0.resources.oomScoreAdj = -1 } }
    _ = try validate(host: host) { $0.resources.oomScoreAdj = 500 }
  }

  @Test func capabilities() {
    refused("invalid CapAdd: unknown capability: \"CAP_FLY\"") { $0.security.addCapabilities = ["fly"] }
    refused("invalid CapDrop: unknown capability: \"CAP_FLY\"") { $0.security.dropCapabilities = ["CAP_FLY"] }
    var host = HostFacts.example
    host.capabilities = []
    refused(
      "invalid CapAdd: capability not supported by your kernel or not available in the current environment: "
        + "\"CAP_NET_ADMIN\"", host: host
    ) { $0.security.addCapabilities = ["NET_ADMIN"] }
  }

  @Test func mounts() throws {
    refused("invalid mount config for type \"bind\": bind source path does not exist: /nowhere/at/all") {
      $0.mounts = [MountConfiguration(.bind, source: "/nowhere/at/all", target: "/x")]
    }
    refused("invalid mount config for type \"bind\": invalid mount path: 'x' mount path must be absolute") {
      $0.mounts = [MountConfiguration(.bind, source: "/", target: "x")]
    }
    refused("invalid mount config for type \"volume\": invalid specification: destination can't be '/'") {
      $0.mounts = [MountConfiguration(.volume, source: "name", target: "/a/..")]
    }
    refused("Duplicate mount point: /x") {
      $0.mounts = [MountConfiguration(.bind, source: "/", target: "/x"), MountConfiguration(.tmpfs, target: "/x/")]
    }
    refused(
      "invalid mount config for type \"volume\": volume name is too short, names should be at least two alphanumeric characters"
    ) {
      $0.mounts = [MountConfiguration(.volume, source: "a", target: "/x")]
    }
    refused("invalid mount config for type \"tmpfs\": invalid tmpfs option \"lowerdir=/\"") {
      var mount = MountConfiguration(.tmpfs, target: "/x")
      mount.options = ["lowerdir=/"]
      $0.mounts = [mount]
    }
    refused("invalid mount config for type \"volume\": subpath must be a relative path within the volume") {
      var mount = MountConfiguration(.volume, source: "name", target: "/x")
      mount.subpath = "a/../../b"
      $0.mounts = [mount]
    }
    _ = try validate {
      var made = MountConfiguration(.bind, source: "/nowhere/at/all", target: "/y")
      made.createSource = true
      $0.mounts = [MountConfiguration(.volume, target: "/x"), MountConfiguration(.tmpfs, target: "/x"), made]
    }
  }

  @Test func namespacesAndNetwork() {
    refused("invalid PID mode: shared") { $0.namespaces.pid = "shared" }
    refused("invalid IPC mode: container:") { $0.namespaces.ipc = "container:" }
    refused("invalid UTS mode: container:x") { $0.namespaces.uts = "container:x" }
    refused("conflicting options: hostname and the UTS mode") {
      $0.namespaces.uts = "host"
      $0.hostname = "h"
    }
    refused("conflicting options: hostname and the network mode") {
      $0.network.mode = "container:x"
      $0.hostname = "h"
    }
    refused("conflicting options: dns and the network mode") {
      $0.network.mode = "container:x"
      $0.network.dns = ["1.1.1.1"]
    }
    refused("1.1.1 is not an ip address") { $0.network.dns = ["1.1.1"] }
    refused("invalid value for dns-search: it contains control characters") {
      $0.network.dnsSearch = ["a\nnameserver 6.6.6.6"]
    }
    refused("bad format for add-host: \"host\"") { $0.network.extraHosts = ["host"] }
  }

  @Test func sysctls() throws {
    refused("sysctl 'kernel.panic' is not in a separate kernel namespace: it would be the whole host's") {
      $0.sysctls = ["kernel.panic": "1"]
    }
    refused("sysctl 'net.core.somaxconn' is not allowed, because host network namespace is used") {
      $0.sysctls = ["net.core.somaxconn": "1"]
      $0.network.mode = "host"
    }
    refused("sysctl 'net/../kernel/panic' is no parameter's name") { $0.sysctls = ["net/../kernel/panic": "1"] }
    _ = try validate { $0.sysctls = ["net.core.somaxconn": "1", "kernel.shmmax": "1", "fs.mqueue.msg_max": "9"] }
  }

  @Test func everythingElse() {
    refused(
      "isolation 'vm' is not available in this version: run the instance as a container instead", code: .unsupported
    ) { $0.isolation = .vm }
    refused("invalid environment variable: =x") { $0.process.environment = ["=x"] }
    refused("Invalid signal: SIGNONE") { $0.stopSignal = "SIGNONE" }
    refused("can't create 'AutoRemove' container with restart policy") {
      $0.removeOnExit = true
      $0.restartPolicy = RestartPolicy(.always)
    }
    refused("Interval in Healthcheck cannot be less than 1ms") {
      var check = HealthCheckConfiguration()
      check.interval = 10
      $0.healthCheck = check
    }
    refused("error gathering device information while adding custom device \"/dev/none\": no such file or directory") {
      $0.devices = [DeviceMapping(hostPath: "/dev/none", containerPath: "/dev/x")]
    }
    refused("invalid device mode: rx") {
      $0.devices = [DeviceMapping(hostPath: "/dev/null", containerPath: "/dev/x", permissions: "rx")]
    }
    refused("invalid device cgroup rule format: 'c 1 rwm'") { $0.deviceCgroupRules = ["c 1 rwm"] }
    refused("logger: no log driver named 'syslog' is registered") { $0.log.driver = "syslog" }
    refused("SHM size can not be less than 0") { $0.shmSize = -1 }
    refused("hostname \"\(String(repeating: "h", count: 65))\" is too long (maximum 64 bytes)") {
      $0.hostname = String(repeating: "h", count: 65)
    }
    refused("'a\0b' contains a NUL character") { $0.process.command = ["a\0b"] }
  }

  @Test func logTargets() throws {
    var log = LogConfiguration()
    #expect(try log.target(path: "/l")?.maxFiles == 1)
    log.options = ["max-size": "10m", "max-file": "3"]
    #expect(try log.target(path: "/l")?.maxSize == 10_000_000)
    log.options = ["max-file": "3"]
    #expect(throws: ApusError.self) { try log.target(path: "/l") }
    log.driver = "none"
    #expect(try log.target(path: "/l") == nil)
    #expect(LogConfiguration.bytes("1.5 kB") == 1500)
    #expect(LogConfiguration.bytes("m") == nil)
  }

  @Test func updatesRespectWhatStays() throws {
    var old = Resources()
    old.memory = 10 << 20
    old.memorySwap = 20 << 20
    old.cpuPeriod = 100_000
    var change = Resources()
    change.memory = 30 << 20
    #expect(throws: ApusError.self) { try old.updated(with: change) }
    change.memorySwap = -1
    let new = try old.updated(with: change)
    #expect(new.memory == 30 << 20)
    #expect(try LinuxResourcesOf(new).memory?.swap == -1)
    change = Resources()
    change.nanoCPUs = 1
    #expect(throws: ApusError.self) { try old.updated(with: change) }
  }

  private func LinuxResourcesOf(_ resources: Resources) throws -> RuntimeResources { try .update(resources) }
}

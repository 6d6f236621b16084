import Errors
import RuntimeSpec
import Testing

@testable import Engine

typealias RuntimeResources = LinuxResources

@Suite struct SpecificationSandboxTests {
  private func specification(
    host: HostFacts = .example, mounts: [ResolvedMount] = [], peers: [String: SandboxContext.Peer] = [:],
    _ change: (inout InstanceConfiguration) -> Void = { _ in }
  ) throws -> Spec {
    var configuration = InstanceConfiguration()
    change(&configuration)
    let record = try exampleRecord(configuration, mounts: mounts)
    return try SandboxSpecification(record, context: exampleContext(host, peers: peers)).specification()
  }

  private func types(_ spec: Spec) -> [String] { (spec.linux?.namespaces ?? []).map(\.type).sorted() }
  private func mount(_ spec: Spec, _ path: String) -> MountSpec? { spec.mounts.first { $0.destination == path } }

  @Test func defaultsAsJSON() throws {
    var spec = try specification()
    spec.linux?.seccomp = nil
    let json = String(decoding: spec.json(), as: UTF8.self)
    let capabilities =
      #"["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FOWNER","CAP_FSETID","CAP_KILL","CAP_SETGID","CAP_SETUID","CAP_SETPCAP","#
      + #""CAP_NET_BIND_SERVICE","CAP_NET_RAW","CAP_SYS_CHROOT","CAP_MKNOD","CAP_AUDIT_WRITE","CAP_SETFCAP"]"#
    #expect(
      json.contains(
        #""capabilities":{"bounding":\#(capabilities),"effective":\#(capabilities),"permitted":\#(capabilities)}"#))
    #expect(
      json.contains(
        #""env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","HOSTNAME=0123456789ab"]"#))
    #expect(json.contains(#""hostname":"0123456789ab""#))
    #expect(
      json.contains(
        #""sysctl":{"net.ipv4.ip_unprivileged_port_start":"0","net.ipv4.ping_group_range":"0 2147483647"}"#))
    #expect(json.contains(#""cgroupsPath":"/apus/0123456789abcdef"#))
    #expect(!json.contains("oomScoreAdj"))
    #expect(!json.contains("rlimits"))
    #expect(types(spec) == ["cgroup", "ipc", "mount", "network", "pid", "uts"])
    #expect(
      spec.mounts.map(\.destination) == [
        "/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm", "/etc/resolv.conf",
        "/etc/hostname", "/etc/hosts",
      ])
    #expect(mount(spec, "/dev/shm")?.options == ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"])
    #expect(mount(spec, "/sys")?.options.contains("ro") == true)
    #expect(spec.linux?.maskedPaths.contains("/proc/kcore") == true)
    #expect(spec.linux?.readonlyPaths.contains("/proc/sys") == true)
    #expect(spec.linux?.resources?.devices.first == LinuxDeviceCgroup(allow: false, access: "rwm"))
    // What was written can be read.
    #expect(try Spec(json: spec.json()) == spec)
  }

  @Test func cgroupNamespaceIsThePolicyOfTheHierarchy() throws {
    var host = HostFacts.example
    host.unifiedCgroups = false
    #expect(!types(try specification(host: host)).contains("cgroup"))
    #expect(types(try specification(host: host) { $0.namespaces.cgroup = "private" }).contains("cgroup"))
    #expect(!types(try specification { $0.namespaces.cgroup = "host" }).contains("cgroup"))
  }

  @Test func privilegedHasEverything() throws {
    let spec = try specification { $0.security.privileged = true }
    #expect(spec.process?.capabilities?.effective.count == 41)
    #expect(spec.linux?.seccomp == nil)
    #expect(spec.linux?.maskedPaths == [])
    #expect(spec.linux?.readonlyPaths == [])
    #expect(spec.linux?.resources?.devices == [LinuxDeviceCgroup(allow: true, access: "rwm")])
    #expect(mount(spec, "/sys")?.options.contains("ro") == false)
    #expect(mount(spec, "/sys/fs/cgroup")?.options.contains("ro") == false)
  }

  @Test func hostNamespaces() throws {
    let spec = try specification {
      $0.network.mode = "host"
      $0.namespaces.pid = "host"
      $0.namespaces.ipc = "host"
      $0.namespaces.uts = "host"
      $0.useInit = true
    }
    #expect(types(spec) == ["cgroup", "mount"])
    #expect(spec.hostname == "")
    #expect(spec.linux?.sysctl == [:])
    #expect(mount(spec, "/dev/shm")?.source == "/dev/shm")
  }

  @Test func joiningAnother() throws {
    var donor = InstanceConfiguration()
    donor.namespaces.ipc = "shareable"
    donor.hostname = "donor"
    let engine = EnginePaths(EngineConfiguration(root: "/r", runDirectory: "/run/x", runtimePath: ""))
    var peer = SandboxContext.Peer(id: "abc", pid: 42, paths: engine.instance("abc"), configuration: donor)
    func join(_ peer: SandboxContext.Peer) throws -> Spec {
      try specification(peers: ["abc": peer]) {
        $0.network.mode = "container:abc"
        $0.namespaces.pid = "container:abc"
        $0.namespaces.ipc = "container:abc"
      }
    }
    let spec = try join(peer)
    #expect(spec.linux?.namespaces.contains(LinuxNamespace(type: "network", path: "/proc/42/ns/net")) == true)
    #expect(spec.linux?.namespaces.contains(LinuxNamespace(type: "pid", path: "/proc/42/ns/pid")) == true)
    #expect(spec.hostname == "donor")
    #expect(mount(spec, "/etc/hosts")?.source == "/run/x/instances/abc/hosts")
    #expect(mount(spec, "/dev/shm")?.source == "/run/x/instances/abc/shm")
    #expect(spec.linux?.sysctl == [:])
    peer.pid = 0
    #expect(throws: ApusError.self) { try join(peer) }
  }

  @Test func readOnlyRootLeavesWhatMustBeWritable() throws {
    let volume = ResolvedMount(
      kind: .volume, name: "v", source: "/v", target: "/data", readOnly: false, propagation: "rprivate",
      anonymous: false,
      driver: "local")
    let spec = try specification(mounts: [volume]) { $0.security.readOnlyRoot = true }
    #expect(spec.root?.readonly == true)
    #expect(mount(spec, "/etc/hosts")?.options == ["rbind", "rprivate", "ro"])
    #expect(mount(spec, "/dev/shm")?.options.contains("ro") == false)
    #expect(mount(spec, "/data")?.options == ["rbind", "rprivate"])
  }

  @Test func mountsOfTheUserReplaceTheStandardOnes() throws {
    func bind(_ target: String, propagation: String = "rprivate") -> ResolvedMount {
      ResolvedMount(
        kind: .bind, name: "", source: "/s", target: target, readOnly: true, propagation: propagation, anonymous: false,
        driver: "")
    }
    let spec = try specification(mounts: [
      bind("/a/b/c"), bind("/a"), bind("/etc/hosts"), bind("/dev"), bind("/m", propagation: "rshared"),
    ])
    #expect(!spec.mounts.contains { $0.destination == "/dev/pts" })
    #expect(spec.mounts.filter { $0.destination == "/etc/hosts" }.map(\.source) == ["/s"])
    let order = spec.mounts.map(\.destination)
    #expect(try #require(order.firstIndex(of: "/a")) < #require(order.firstIndex(of: "/a/b/c")))
    #expect(spec.linux?.rootfsPropagation == "shared")
  }

  @Test func temporaryFilesystems() throws {
    var mount = MountConfiguration(.tmpfs, target: "/t")
    mount.options = ["exec", "size=1m"]
    mount.tmpfsMode = 0o700
    #expect(TmpfsOptions.merged(mount) == ["nosuid", "nodev", "exec", "size=1m", "mode=700"])
    mount.options = []
    mount.tmpfsMode = nil
    mount.readOnly = true
    #expect(TmpfsOptions.merged(mount) == ["noexec", "nosuid", "nodev", "ro"])
  }

  @Test func limits() throws {
    let spec = try specification {
      $0.resources.memory = 64 << 20
      $0.resources.memorySwap = 128 << 20
      $0.resources.nanoCPUs = 1_500_000_000
      $0.resources.cpuShares = 1
      $0.resources.pidsLimit = 0
      $0.resources.cpusetCPUs = "0"
      $0.resources.ulimits = [Ulimit(name: "nofile", soft: 10, hard: -1)]
      $0.resources.cgroupParent = "/my/group/"
    }
    let resources = spec.linux?.resources
    #expect(resources?.memory == LinuxMemory(limit: 64 << 20, swap: 128 << 20))
    #expect(resources?.cpu == LinuxCPU(shares: 2, quota: 150_000, period: 100_000, cpus: "0"))
    #expect(resources?.pids == LinuxPids(limit: -1))
    #expect(spec.process?.rlimits == [POSIXRlimit(type: "RLIMIT_NOFILE", hard: .max, soft: 10)])
    #expect(spec.linux?.cgroupsPath.hasPrefix("/my/group/0123") == true)
  }

  @Test func oomScoreIsOnlySetWhereItMust() throws {
    var host = HostFacts.example
    host.oomScoreAdjustment = -500
    #expect(try specification(host: host).process?.oomScoreAdj == 0)
    host.oomScoreAdjustment = 500
    #expect(try specification(host: host).process?.oomScoreAdj == nil)
    #expect(try specification { $0.resources.oomScoreAdj = 300 }.process?.oomScoreAdj == 300)
  }

  @Test func devices() throws {
    let spec = try specification {
      $0.devices = [DeviceMapping(hostPath: "/dev/null", containerPath: "/dev/mine", permissions: "rw")]
      $0.deviceCgroupRules = ["c 42:* rmw"]
    }
    #expect(spec.linux?.devices.map(\.path) == ["/dev/mine"])
    #expect(spec.linux?.devices.first?.major == 1)
    #expect(
      spec.linux?.resources?.devices.suffix(2) == [
        LinuxDeviceCgroup(allow: true, type: "c", major: 1, minor: 3, access: "rw"),
        LinuxDeviceCgroup(allow: true, type: "c", major: 42, minor: -1, access: "rmw"),
      ])
  }

  @Test func capabilityChoices() throws {
    func names(_ add: [String], _ drop: [String]) throws -> [String] {
      var security = SecurityConfiguration()
      security.addCapabilities = add
      security.dropCapabilities = drop
      return try CapabilityChoice(security, host: .example).capabilities.capabilityNames
    }
    #expect(try names(["net_admin"], ["CAP_CHOWN"]).count == 14)
    #expect(try names(["NET_ADMIN"], ["all"]) == ["CAP_NET_ADMIN"])
    #expect(try names(["ALL"], ["SYS_ADMIN"]).count == 40)
    #expect(try names([], ["ALL"]) == [])
  }

  @Test func appArmorProfiles() throws {
    var host = HostFacts.example
    (host.supportsAppArmor, host.defaultAppArmorProfile) = (true, "apus-default")
    func profile(_ asked: String?, privileged: Bool = false, host: HostFacts) throws -> String? {
      try specification(host: host) {
        $0.security.appArmorProfile = asked
        $0.security.privileged = privileged
      }.process?.apparmorProfile
    }
    #expect(try profile(nil, host: host) == "apus-default")
    #expect(try profile("", host: host) == "apus-default")
    #expect(try profile("mine", host: host) == "mine")
    #expect(try profile("unconfined", host: host) == "")
    #expect(try profile(nil, privileged: true, host: host) == "")
    #expect(try profile("mine", privileged: true, host: host) == "mine")
    var record = try exampleRecord(InstanceConfiguration())
    var exec = ExecConfiguration()
    exec.arguments = ["true"]
    #expect(try record.execRequest(exec, id: "e", host: host).process.apparmorProfile == "apus-default")
    record.configuration.security.appArmorProfile = "mine"
    exec.privileged = true
    #expect(try record.execRequest(exec, id: "e", host: host).process.apparmorProfile == "mine")
    #expect(try profile(nil, host: .example) == "")
    // Enabled, and the profile could not be loaded.
    host.defaultAppArmorProfile = nil
    #expect(try profile(nil, host: host) == "")
  }

  @Test func generatedFiles() throws {
    var configuration = InstanceConfiguration()
    configuration.domainname = "example.org"
    configuration.network.extraHosts = ["db:10.0.0.1", "six=[::2]", "up:host-gateway"]
    configuration.network.dns = ["9.9.9.9"]
    configuration.network.dnsSearch = ["a.example", "b.example"]
    let files = GeneratedFiles(try exampleRecord(configuration), hostname: "web")
    #expect(files.hostname == "web\n")
    #expect(files.hosts.contains("127.0.0.1\tlocalhost\n"))
    #expect(files.hosts.contains("\tweb.example.org web\n"))
    #expect(files.hosts.hasSuffix("10.0.0.1\tdb\n::2\tsix\n"))
    let host = "nameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch lan\noptions ndots:2\n"
    #expect(
      GeneratedFiles.resolver(configuration.network, sharesHostNetwork: false, host: host)
        == "nameserver 9.9.9.9\nsearch a.example b.example\noptions ndots:2\n")
    #expect(
      GeneratedFiles.resolver(NetworkConfiguration(), sharesHostNetwork: false, host: host)
        == "nameserver 192.0.2.1\nsearch lan\noptions ndots:2\n")
    #expect(GeneratedFiles.resolver(NetworkConfiguration(), sharesHostNetwork: true, host: host) == host)
  }

  @Test func createRequestIsComplete() throws {
    var configuration = InstanceConfiguration()
    configuration.useInit = true
    configuration.process.openStdin = true
    let request = try SandboxSpecification(exampleRecord(configuration), context: exampleContext()).createRequest()
    #expect(request.user == "0")
    #expect(request.useInit && request.openStdin && request.createWorkingDirectory)
    #expect(request.log?.path.hasSuffix("/log") == true)
    #expect(request.root?.upper?.hasSuffix("/upper") == true)
    configuration.namespaces.pid = "host"
    #expect(
      !(try SandboxSpecification(exampleRecord(configuration), context: exampleContext()).createRequest().useInit))
  }
}

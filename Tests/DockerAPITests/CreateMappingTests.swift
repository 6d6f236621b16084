import DockerTypes
import Engine
import Errors
import Testing

@testable import DockerAPI

struct CreateMappingTests {
  private func configuration(_ text: String) throws -> InstanceConfiguration {
    try InstanceConfiguration(try decoded(ContainerCreateRequest.self, text))
  }

  @Test func everyOptionReachesTheEngine() throws {
    let made = try configuration(clientCreate)
    #expect(made.image == "debian:12")
    #expect(made.process.command == ["sh", "-c", "x y"])
    #expect(made.process.entrypoint == nil)
    #expect(made.process.environment == ["A=1", "B"])
    #expect(made.process.user == "1:2")
    #expect(made.process.groups == ["audio"])
    #expect(made.process.terminal && made.process.openStdin && made.process.stdinOnce)
    #expect(made.process.terminalSize == TerminalSize(rows: 24, columns: 80))
    #expect(made.hostname == "h")
    #expect(made.domainname == nil)
    #expect(made.stopSignal == "SIGINT")
    #expect(made.stopTimeout == 7)
    #expect(made.healthCheck?.test == ["CMD-SHELL", "true"])
    #expect(made.healthCheck?.interval == 5_000_000_000)
    #expect(made.healthCheck?.retries == 4)
    #expect(made.restartPolicy == RestartPolicy(.onFailure, maximumRetries: 3))
    #expect(made.resources.memory == 64 << 20)
    #expect(made.resources.memorySwap == -1)
    #expect(made.resources.memorySwappiness == nil)
    #expect(made.resources.nanoCPUs == 1_500_000_000)
    #expect(made.resources.cpusetCPUs == "0-1")
    #expect(made.resources.pidsLimit == 100)
    #expect(made.resources.blkioReadBps == [DeviceRate(path: "/dev/sda", rate: 1_000)])
    #expect(made.resources.ulimits == [Ulimit(name: "nofile", soft: 1_024, hard: 2_048)])
    #expect(made.resources.oomScoreAdj == 5)
    #expect(made.security.addCapabilities == ["NET_ADMIN"])
    #expect(made.security.dropCapabilities == ["ALL"])
    #expect(made.security.noNewPrivileges && made.security.readOnlyRoot)
    #expect(made.security.seccomp == "unconfined")
    #expect(made.namespaces.ipc == "host")
    #expect(made.namespaces.pid == nil)
    #expect(made.network.mode == "front")
    #expect(made.network.exposedPorts == ["53/udp", "80/tcp"])
    #expect(
      made.network.ports == [
        PortBinding(proto: .udp, port: 53, hostAddress: "127.0.0.1"),
        PortBinding(proto: .tcp, port: 80, hostPorts: 8_080...8_090),
      ])
    #expect(made.network.extraHosts == ["x:1.2.3.4"])
    #expect(made.volumesFrom == ["o:ro"])
    #expect(made.devices == [DeviceMapping(hostPath: "/dev/null", containerPath: "/dev/x", permissions: "r")])
    #expect(made.shmSize == 1 << 20)
    #expect(made.useInit)
    #expect(made.mounts.map(\.target) == ["/dst", "/data", "/m", "/t", "/v"])
  }

  /// What a client gave comes back from an inspect, byte for byte where it has a say.
  @Test func hostConfigSurvivesTheEngine() throws {
    let request = try decoded(ContainerCreateRequest.self, clientCreate)
    var expected = try #require(request.hostConfig)
    expected.logConfig.type = "json-file"
    expected.runtime = "runc"
    expected.maskedPaths = HostConfig.defaultMaskedPaths
    expected.readonlyPaths = HostConfig.defaultReadOnlyPaths
    expected.resources.memorySwappiness = nil
    expected.resources.ulimits?[0].name = "nofile"
    let answer = inspect(try exampleRecord(request)).hostConfig
    #expect(try json(answer) == json(expected))
    #expect(answer.dnsOptions == [] && answer.links == nil)
  }

  @Test func inspectShowsWhatRuns() throws {
    let record = try exampleRecord(try decoded(ContainerCreateRequest.self, clientCreate), status: .running)
    let answer = inspect(record)
    #expect(answer.path == "sh")
    #expect(answer.args == ["-c", "x y"])
    #expect(answer.name == "/web")
    #expect(answer.config.hostname == "h")
    #expect(answer.config.exposedPorts?.keys.sorted() == ["53/udp", "80/tcp"])
    #expect(answer.config.volumes?.keys.sorted() == ["/v"])
    #expect(answer.config.healthcheck?.retries == 4)
    #expect(answer.state.running && answer.state.startedAt == "0001-01-01T00:00:00Z")
  }

  @Test func anInstanceOfAnotherMakerIsDescribed() throws {
    var record = try exampleRecord(try decoded(ContainerCreateRequest.self, clientCreate))
    record.configuration.clientData = [:]
    let host = inspect(record).hostConfig
    #expect(host.binds == ["/src:/dst:ro", "named:/data"])
    #expect(host.capAdd == ["NET_ADMIN"])
    #expect(host.securityOpt == ["no-new-privileges", "seccomp=unconfined"])
    #expect(host.resources.memory == 64 << 20)
  }

  @Test func anUpdateShowsInAnInspect() throws {
    var record = try exampleRecord(try decoded(ContainerCreateRequest.self, clientCreate))
    let update = try decoded(ContainerUpdateRequest.self, #"{"Memory":134217728,"PidsLimit":7}"#)
    record.configuration.resources = try Resources(update.resources).over(record.configuration.resources)
    let answer = inspect(record).hostConfig.resources
    #expect(answer.memory == 128 << 20)
    #expect(answer.pidsLimit == 7)
    #expect(answer.cpuShares == 512)
  }

  @Test func aCommandMayBeOneString() throws {
    let made = try configuration(#"{"Image":"i","Cmd":"top","Entrypoint":[""]}"#)
    #expect(made.process.command == ["top"])
    #expect(made.process.entrypoint == [""])
  }

  @Test(arguments: [
    (#"{"Image":""}"#, "invalid reference format: no image given"),
    (#"{"Image":"i","HostConfig":{"Runtime":"kata"}}"#, "unknown or invalid runtime name: kata"),
    (#"{"Image":"i","HostConfig":{"Isolation":"jail"}}"#, "invalid isolation 'jail': it is 'container' or 'vm'"),
    (#"{"Image":"i","HostConfig":{"SecurityOpt":["nonsense"]}}"#, "invalid --security-opt 2: \"nonsense\""),
    (
      #"{"Image":"i","HostConfig":{"Binds":["/a:b"]}}"#,
      "invalid volume specification: '/a:b': the mount path 'b' must be absolute"
    ),
    (#"{"Image":"i","HostConfig":{"Binds":["/a:/b:xx"]}}"#, "invalid mode: xx"),
    (#"{"Image":"i","HostConfig":{"Binds":["/a:/b","/c:/b/"]}}"#, "Duplicate mount point: /b/"),
    (
      #"{"Image":"i","HostConfig":{"Mounts":[{"Type":"bind","Target":"/x"}]}}"#,
      "invalid mount config for type \"bind\": field Source must not be empty"
    ),
    (#"{"Image":"i","HostConfig":{"Mounts":[{"Type":"floppy","Target":"/x"}]}}"#, "mount type unknown: \"floppy\""),
  ])
  func whatIsWrongIsSaid(body: String, sentence: String) throws {
    let error = #expect(throws: ApusError.self) { try configuration(body) }
    #expect(error?.message == sentence)
    #expect(error?.code == .invalidArgument)
  }

  @Test func bindsAndVolumesDiffer() throws {
    let bind = try MountConfiguration(bind: "/src:/dst", driver: "local")
    #expect(bind.kind == .bind && bind.createSource && bind.volumeDriver == nil)
    let volume = try MountConfiguration(bind: "name:/dst:nocopy,ro", driver: "local")
    #expect(volume.kind == .volume && volume.noCopy && volume.readOnly && volume.volumeDriver == "local")
    let anonymous = try MountConfiguration(bind: "/dst", driver: "")
    #expect(anonymous.kind == .volume && anonymous.source.isEmpty)
  }
}

import Errors
import FoundationEssentials
import Glibc
import ImageSpec
import Layers
import Linux
import Logging
import Synchronization
import Testing

@testable import Engine

@Suite struct VolumesTests {
  /// A volume service over a directory that goes with the test. Needs no privilege: nothing is mounted.
  final class Fixture {
    let root: String
    let database: StateDatabase
    let blocking = BlockingPool(threads: 2)
    let discarded = Mutex<[String]>([])
    let layers: EROFSLayerStore

    init() throws {
      root = "/tmp/apus-volumes-\(getpid())-\(UInt32.random(in: 0 ... .max))"
      try Files.makeDirectories(root)
      database = try StateDatabase(path: nil)
      let content = try ContentStore(root: root + "/content")
      layers = try EROFSLayerStore(root: root + "/layers", runDirectory: root + "/run", content: content)
    }

    deinit { try? FileTree.remove(root) }

    func service() throws -> VolumeService {
      let trash = root + "/trash"
      try Files.makeDirectories(trash)
      return try VolumeService(
        root: root + "/volumes", database: database.queue, layers: layers, blocking: blocking,
        discard: { directory, name in try check(rename(directory, "\(trash)/\(name)"), "cannot discard \(directory)") },
        logger: Logger(label: "test"))
    }
  }

  private func resolve(
    _ service: VolumeService, id: String = "one", imageVolumes: [String] = [], donor: InstanceRecord? = nil,
    _ change: (inout InstanceConfiguration) -> Void = { _ in }
  ) async throws -> [ResolvedMount] {
    var configuration = InstanceConfiguration()
    change(&configuration)
    var image = ResolvedProcess()
    image.volumes = imageVolumes
    return try await service.resolveMounts(configuration, image: image, layers: [], id: id) { name in
      guard let donor else { throw ApusError(.notFound, "No such container: \(name)") }
      return donor
    }
  }

  @Test func creatingTwiceIsOne() async throws {
    let fixture = try Fixture()
    let service = try fixture.service()
    let first = try await service.create(name: "data", labels: ["a": "b"])
    let second = try await service.create(name: "data")
    #expect(first == second)
    #expect(first.mountpoint == fixture.root + "/volumes/data/_data")
    #expect(Files.exists(first.mountpoint))
    #expect(second.labels == ["a": "b"])
    #expect(try await service.list().map(\.name) == ["data"])
    // The next daemon knows it.
    #expect(try await fixture.service().get("data").labels == ["a": "b"])
  }

  @Test func anonymousVolumesHaveNamesOfTheirOwn() async throws {
    let fixture = try Fixture()
    let volume = try await fixture.service().create()
    #expect(volume.name.utf8.count == 64 && volume.anonymous)
    #expect(volume.labels == [Volume.anonymousLabel: ""])
  }

  @Test func wrongRequestsAreRefused() async throws {
    let fixture = try Fixture()
    let service = try fixture.service()
    func refused(_ sentence: String, _ code: ErrorCode, _ body: () async throws -> Void) async {
      let error = await #expect(throws: ApusError.self) { try await body() }
      #expect(error?.message == sentence)
      #expect(error?.code == code)
    }
    await refused("get none: no such volume", .notFound) { _ = try await service.get("none") }
    await refused("get none: no such volume", .notFound) { try await service.remove("none") }
    try await service.remove("none", force: true)
    await refused(
      "create x: error looking up volume plugin nfs: plugin \"nfs\" not found", .notFound
    ) { _ = try await service.create(name: "x", driver: "nfs") }
    await refused(
      "create a/b: \"a/b\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are "
        + "allowed. If you intended to pass a host directory, use absolute path", .invalidArgument
    ) { _ = try await service.create(name: "a/b") }
    await refused("create vol: missing required option: \"device\"", .invalidArgument) {
      _ = try await service.create(name: "vol", options: ["type": "tmpfs"])
    }
    await refused("create vol: invalid option: \"siz\"", .invalidArgument) {
      _ = try await service.create(name: "vol", options: ["siz": "1"])
    }
    for name in ["..", ".a", "a\0b", ""] where !name.isEmpty {
      _ = await #expect(throws: ApusError.self) { _ = try await service.create(name: name) }
    }
    #expect(try await service.list().isEmpty)
  }

  @Test func usedVolumesStay() async throws {
    let fixture = try Fixture()
    let service = try fixture.service()
    let mounts = try await resolve(service, imageVolumes: ["/image"]) {
      $0.mounts = [
        MountConfiguration(.volume, source: "named", target: "/data/"), MountConfiguration(.volume, target: "/anon"),
        MountConfiguration(.bind, source: "/tmp//x", target: "/bind"), MountConfiguration(.tmpfs, target: "/tmp"),
      ]
    }
    #expect(mounts.map(\.target) == ["/data", "/bind", "/tmp", "/anon", "/image"])
    #expect(mounts.map(\.anonymous) == [false, false, false, true, true])
    #expect(mounts[1].source == "/tmp/x" && mounts[1].propagation == "rprivate")
    #expect(try await service.get("named").usedBy == 1)
    let error = await #expect(throws: ApusError.self) { try await service.remove("named") }
    #expect(error?.code == .conflict)
    #expect(error?.message == "remove named: volume is in use - [one]")
    #expect(try await service.prune { _ in true }.names.isEmpty)

    var record = try exampleRecord(InstanceConfiguration(), mounts: mounts)
    record.id = "one"
    await service.release(record, removeAnonymous: true)
    #expect(try await service.list().map(\.name) == ["named"])
    #expect(try await service.prune { $0.anonymous }.names.isEmpty)
    #expect(try await service.prune { _ in true }.names == ["named"])
    #expect(!Files.exists(fixture.root + "/volumes/named"))
  }

  @Test func anonymousVolumesOutliveAnInstanceThatSharedThem() async throws {
    let fixture = try Fixture()
    let service = try fixture.service()
    let mounts = try await resolve(service) { $0.mounts = [MountConfiguration(.volume, target: "/a")] }
    var donor = try exampleRecord(InstanceConfiguration(), mounts: mounts)
    donor.id = "one"
    let shared = try await resolve(service, id: "two", donor: donor) { $0.volumesFrom = ["one:ro"] }
    #expect(shared.map(\.name) == mounts.map(\.name))
    #expect(shared.first?.readOnly == true && shared.first?.anonymous == false)
    await service.release(donor, removeAnonymous: true)
    #expect(try await service.list().count == 1)
    // What the records say is what the next daemon goes by.
    let next = try fixture.service()
    var second = try exampleRecord(InstanceConfiguration(), mounts: shared)
    second.id = "two"
    next.adopt(second)
    #expect(try await next.list().first?.usedBy == 1)
  }

  @Test func ownMountsWin() {
    let inherited = ResolvedMount(
      kind: .volume, name: "v", source: "/v", target: "/a", readOnly: false, propagation: "", anonymous: false,
      driver: "local")
    let plan = MountPlan(
      [
        MountConfiguration(.volume, target: "/b"), MountConfiguration(.bind, source: "/s", target: "/b"),
        MountConfiguration(.tmpfs, target: "/c"),
      ], inherited: [inherited], imageVolumes: ["/a", "/c", "/d", "/"])
    let shown = plan.items.map { item in
      switch item {
      case .inherited(let mount): "inherited \(mount.target)"
      case .own(let mount): "\(mount.kind) \(mount.target)"
      case .image(let target): "image \(target)"
      }
    }
    #expect(shown == ["inherited /a", "bind /b", "tmpfs /c", "image /d"])
  }

  @Test func failuresGiveBackWhatWasTaken() async throws {
    let fixture = try Fixture()
    let service = try fixture.service()
    var bad = MountConfiguration(.volume, source: "other", target: "/b")
    bad.volumeDriver = "nfs"
    _ = await #expect(throws: ApusError.self) {
      try await resolve(service) { $0.mounts = [MountConfiguration(.volume, source: "first", target: "/a"), bad] }
    }
    for _ in 0..<100 where (try? await service.get("first").usedBy) != 0 { try await Task.sleep(for: .milliseconds(5)) }
    #expect(try await service.get("first").usedBy == 0)
    _ = await #expect(throws: ApusError.self) { try await resolve(service) { $0.volumesFrom = ["gone"] } }
  }

  @Test func bindSourcesAreMadeOrMissed() async throws {
    let fixture = try Fixture()
    let service = try fixture.service()
    var made = MountConfiguration(.bind, source: fixture.root + "/made/deep", target: "/a")
    made.createSource = true
    var configuration = InstanceConfiguration()
    configuration.mounts = [made, MountConfiguration(.bind, source: fixture.root + "/missing", target: "/b")]
    let mounts = try await resolve(service) { $0.mounts = configuration.mounts }
    let record = try exampleRecord(configuration, mounts: mounts)
    let error = #expect(throws: ApusError.self) { try service.prepare(record) }
    #expect(
      error?.message
        == "invalid mount config for type \"bind\": bind source path does not exist: \(fixture.root)/missing")
    #expect(Files.exists(fixture.root + "/made/deep"))
  }

  @Test func volumesFromModes() throws {
    #expect(try VolumeService.parse(volumesFrom: "x").readOnly == false)
    #expect(try VolumeService.parse(volumesFrom: "x:ro,z").readOnly == true)
    #expect(throws: ApusError.self) { try VolumeService.parse(volumesFrom: "x:wo") }
    #expect(throws: ApusError.self) { try VolumeService.parse(volumesFrom: ":ro") }
  }
}

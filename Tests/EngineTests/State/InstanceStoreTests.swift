import Errors
import FoundationEssentials
import ImageSpec
import Logging
import Testing

@testable import Engine

@Suite struct InstanceStoreTests {
  private func makeStore() throws -> (InstanceStore, BlockingPool) {
    let pool = BlockingPool(threads: 1)
    let store = InstanceStore(database: try StateDatabase(path: nil), blocking: pool, logger: Logger(label: "test"))
    return (store, pool)
  }

  private func record(_ name: String) throws -> InstanceRecord {
    let digest = try #require(Digest("sha256:" + String(repeating: "ab", count: 32)))
    var configuration = InstanceConfiguration()
    configuration.image = "debian:12"
    configuration.process.command = ["sh", "-c", "ü"]
    configuration.resources.memory = 1 << 30
    configuration.mounts = [MountConfiguration(.volume, source: "v", target: "/v")]
    var resolved = ResolvedProcess()
    resolved.arguments = ["sh"]
    return InstanceRecord(
      id: InstanceName.newIdentifier(), name: name, created: Date(timeIntervalSince1970: 1_700_000_000.123),
      configuration: configuration, imageID: digest, resolved: resolved, layers: [digest])
  }

  @Test func aRecordComesBackAsItWas() async throws {
    let (store, pool) = try makeStore()
    var record = try record("one")
    try store.insert(record)
    record.state.status = .running
    record.state.pid = 12
    record.state.startedAt = Date(timeIntervalSince1970: 1_700_000_001.5)
    store.note(record.state, of: record.id)
    try store.flush()
    let loaded = try store.load()
    #expect(loaded.unreadable.isEmpty)
    let found = try #require(loaded.records.first)
    #expect(found.configuration == record.configuration)
    #expect(found.resolved == record.resolved)
    #expect(found.created == record.created)
    #expect(found.state.status == .running && found.state.pid == 12)
    #expect(found.state.startedAt == record.state.startedAt)
    await pool.shutdown()
  }

  @Test func aNameIsFreeAgainOnceItsInstanceIsGone() async throws {
    let (store, pool) = try makeStore()
    let first = try record("same")
    try store.insert(first)
    store.noteDeletion(of: first.id)
    // Nothing has been flushed.
    try store.insert(record("same"))
    #expect(try store.load().records.count == 1)
    await pool.shutdown()
  }

  @Test func aStateAfterTheRemovalIsForgotten() async throws {
    let (store, pool) = try makeStore()
    let record = try record("gone")
    try store.insert(record)
    store.noteDeletion(of: record.id)
    store.note(InstanceState(), of: record.id)
    try store.flush()
    #expect(try store.load().records.isEmpty)
    await pool.shutdown()
  }

  @Test func notesAreWrittenSoon() async throws {
    let (store, pool) = try makeStore()
    var record = try record("soon")
    try store.insert(record)
    record.state.exitCode = 42
    store.note(record.state, of: record.id)
    for _ in 0..<200 {
      if try store.load().records.first?.state.exitCode == 42 { break }
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(try store.load().records.first?.state.exitCode == 42)
    await pool.shutdown()
  }

  @Test func aNewNameAndConfigurationAreKept() async throws {
    let (store, pool) = try makeStore()
    var record = try record("old")
    try store.insert(record)
    record.name = "new"
    record.configuration.restartPolicy = RestartPolicy(.always)
    try store.update(record)
    let found = try #require(try store.load().records.first)
    #expect(found.name == "new" && found.configuration.restartPolicy.condition == .always)
    await pool.shutdown()
  }

  @Test func aNameInUseIsRefused() async throws {
    let (store, pool) = try makeStore()
    try store.insert(record("twice"))
    #expect(throws: ApusError.self) { try store.insert(record("twice")) }
    await pool.shutdown()
  }
}

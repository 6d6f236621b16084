import Errors
import Glibc
import Linux
import RuntimeSpec
import Testing

@testable import apus_runtime

@Suite final class StateTests {
  private let root: String

  init() throws {
    var template = Array("/tmp/apus-state-XXXXXX".utf8CString)
    root = try #require(mkdtemp(&template).map { String(cString: $0) })
  }

  deinit {
    for id in (try? StateDirectory.ids(root: root)) ?? [] { try? StateDirectory(opening: id, root: root).remove() }
    rmdir(root)
  }

  private func code(_ body: () throws -> Void) -> ErrorCode? {
    do { try body() } catch let error as ApusError { return error.code } catch {}
    return nil
  }

  @Test("A record survives being written, and names are checked before they are used")
  func record() throws {
    var record = Record()
    record.id = "c1"
    record.pid = 12
    record.startTime = 34
    record.namespaces = [LinuxNamespace(type: "pid")]
    record.annotations = ["a": "b"]
    record.hasHooks = true
    #expect(try Record(json: record.json()) == record)
    for id in ["", ".", "..", ".hidden", "a/b", "a b", "ä", String(repeating: "x", count: 256)] {
      #expect(code { try StateDirectory.validate(id) } == .invalidArgument, "\(id)")
    }
    for id in ["a", "A-1_2.3+4", "-x"] { #expect(code { try StateDirectory.validate(id) } == nil, "\(id)") }
  }

  @Test("A name is taken once, and its directory is its owner's alone")
  func directories() throws {
    let directory = try StateDirectory(creating: "c1", root: root)
    #expect(try Files.status(directory.descriptor.raw).st_mode & 0o7777 == 0o700)
    #expect(code { _ = try StateDirectory(creating: "c1", root: root) } == .conflict)
    try directory.write(Array("x".utf8), to: "file")
    #expect(try Files.status(at: directory.descriptor.raw, "file").st_mode & 0o7777 == 0o600)
    #expect(try StateDirectory.ids(root: root) == ["c1"])
    try directory.remove()
    #expect(code { _ = try StateDirectory(opening: "c1", root: root) } == .notFound)
    #expect(try StateDirectory.ids(root: root).isEmpty)
  }

  @Test("A link in the place of a container's directory is not followed")
  func links() throws {
    try #require(symlink("/etc", "\(root)/c2") == 0)
    defer { unlink("\(root)/c2") }
    #expect(throws: ApusError.self) { try StateDirectory(opening: "c2", root: root) }
  }

  @Test("A container is what its process is: a number that is used again is not it")
  func status() throws {
    let directory = try StateDirectory(creating: "c3", root: root)
    #expect(code { _ = try StoredContainer("c3", root: root) } == .notFound)
    var record = Record()
    record.id = "c3"
    record.pid = getpid()
    record.startTime = try Processes.startTime(of: getpid())
    record.cgroupPath = "apus-no-such-group"
    try directory.write(record.json(), to: StateDirectory.newStateFile)
    #expect(try StoredContainer("c3", root: root).status() == .creating)
    try directory.rename(StateDirectory.newStateFile, to: StateDirectory.stateFile)
    #expect(try StoredContainer("c3", root: root).status() == .running)
    let gate = try directory.makeFIFO(StateDirectory.startGate)
    #expect(try StoredContainer("c3", root: root).status() == .created)
    #expect(gate.raw >= 0)
    record.startTime += 1
    try directory.write(record.json(), to: StateDirectory.stateFile)
    let stored = try StoredContainer("c3", root: root)
    #expect(try stored.status() == .stopped)
    #expect(code { _ = try stored.open() } == .conflict)
    let overview = try Overview(stored, owner: "root")
    #expect(String(decoding: overview.json(), as: UTF8.self).contains("\"pid\":0,\"status\":\"stopped\""))
  }
}

import Glibc
import Linux
import Logging
import Testing

@testable import Engine

@Suite struct TrashTests {
  private func scratch() throws -> String {
    var template = Array("/tmp/apus-trash-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
    }
    return try #require(made)
  }

  private func fill(_ directory: String, outside: String) throws {
    try Files.makeDirectories(directory + "/a/b/c")
    try Files.writeAtomically([1], to: directory + "/a/b/file")
    #expect(symlink(outside, directory + "/a/link") == 0)
    #expect(mkfifo(directory + "/a/fifo", 0o600) == 0)
  }

  @Test func deletesTreesAndFollowsNoLink() throws {
    let root = try scratch()
    try Files.makeDirectory(root + "/outside")
    try Files.writeAtomically([1], to: root + "/outside/kept")
    try fill(root + "/tree", outside: root + "/outside")
    try FileTree.remove(root + "/tree")
    #expect(!Files.exists(root + "/tree"))
    #expect(Files.exists(root + "/outside/kept"))
    try FileTree.remove(root + "/tree")
    try FileTree.remove(root)
    #expect(!Files.exists(root))
  }

  @Test func discardedDirectoriesAreOutOfTheirPlaceAtOnce() async throws {
    let root = try scratch()
    let pool = BlockingPool(threads: 1)
    let trash = try Trash(root: root + "/trash", blocking: pool, logger: Logger(label: "test"))
    for number in 0..<40 {
      try fill(root + "/i\(number)", outside: root)
      try trash.discard(root + "/i\(number)", as: "i\(number)")
      #expect(!Files.exists(root + "/i\(number)"))
    }
    try trash.discard(root + "/missing", as: "missing")
    for _ in 0..<500 where try !entries(root + "/trash").isEmpty { try await Task.sleep(for: .milliseconds(10)) }
    #expect(try entries(root + "/trash").isEmpty)
    await pool.shutdown()
    try FileTree.remove(root)
  }

  @Test func theNextDaemonEmptiesWhatIsLeft() async throws {
    let root = try scratch()
    try fill(root + "/trash/x", outside: root)
    let pool = BlockingPool(threads: 1)
    let trash = try Trash(root: root + "/trash", blocking: pool, logger: Logger(label: "test"))
    trash.empty()
    for _ in 0..<500 where try !entries(root + "/trash").isEmpty { try await Task.sleep(for: .milliseconds(10)) }
    #expect(try entries(root + "/trash").isEmpty)
    await pool.shutdown()
    try FileTree.remove(root)
  }

  private func entries(_ path: String) throws -> [String] {
    let directory = try Files.open(path, flags: O_RDONLY | O_DIRECTORY)
    return try Files.entries(of: directory.raw).map(\.name)
  }
}

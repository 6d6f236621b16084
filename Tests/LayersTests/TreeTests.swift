import Errors
import Glibc
import Linux
import Testing

@testable import Layers

private func drain(_ archive: TreeArchive, maximum: Int = 256 << 10) throws -> [UInt8] {
  var bytes: [UInt8] = []
  while let piece = try archive.read(maximum: maximum) {
    #expect(!piece.isEmpty && piece.count <= maximum)
    bytes += piece
  }
  return bytes
}

private func extract(
  _ archive: [UInt8], into root: Int32, at path: String = "/", options: Tree.ExtractOptions = .init()
) throws {
  let extractor = try Tree.extract(root: root, path: path, options: options)
  try push(archive) { try extractor.write($0) }
  try extractor.finish()
}

private func names(_ archive: [UInt8]) throws -> [String] {
  try RecordingSink.read(archive).map { String(decoding: $0.entry.path, as: UTF8.self) }
}

private func text(_ root: Int32, _ path: String) throws -> String {
  String(decoding: try Files.read(at: root, path: path), as: UTF8.self)
}

@Suite(.serialized) struct TreeTests {
  private func makeRoot(_ scratch: Scratch, _ name: String = "root") throws -> OwnedDescriptor {
    try Files.makeDirectory("\(scratch.path)/\(name)")
    return try scratch.open(name)
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: 0..<3)
  func extractedArchivedCopied(seed: Int) throws {
    // Without whiteouts, which mean nothing here, a random layer is a random tree.
    let scratch = try Scratch()
    let root = try makeRoot(scratch)
    let tree = RandomTree(seed: UInt64(seed) + 50, size: 200, ordinary: true)
    try extract(tree.archive, into: root.raw)
    let copy = try makeRoot(scratch, "copy")
    #expect(try Tree.copyContents(from: root.raw, path: "/", to: copy.raw))
    #expect(try differences(root.raw, copy.raw) == [])
    let other = try makeRoot(scratch, "other")
    let archive = try drain(try Tree.export(root: root.raw), maximum: 1000)
    try extract(archive, into: other.raw)
    #expect(try differences(root.raw, other.raw) == [])
    #expect(try Tree.diskUsage(root.raw).bytes == Tree.diskUsage(copy.raw).bytes)
    #expect(try Tree.diskUsage(root.raw).inodes == Tree.diskUsage(other.raw).inodes)
  }

  @Test func archiveNames() throws {
    let scratch = try Scratch()
    let root = try makeRoot(scratch)
    try Files.makeDirectories(scratch.path + "/root/a/b")
    try Files.writeAtomically(Array("1".utf8), to: scratch.path + "/root/a/b/file")
    #expect(symlink("/a/../a/b", scratch.path + "/root/link") == 0)
    #expect(symlink("../../../../etc", scratch.path + "/root/a/out") == 0)
    #expect(try names(drain(Tree.archive(root: root.raw, path: "/a"))) == ["a/", "a/b/", "a/b/file", "a/out"])
    #expect(try names(drain(Tree.archive(root: root.raw, path: "a/b/file"))) == ["file"])
    #expect(try names(drain(Tree.archive(root: root.raw, path: "/a/b/."))) == ["./", "./file"])
    #expect(try names(drain(Tree.archive(root: root.raw, path: "/link"))) == ["link"])
    #expect(try names(drain(Tree.archive(root: root.raw, path: "/link/"))) == ["link/", "link/file"])
    #expect(try names(drain(Tree.archive(root: root.raw, path: "/link/file"))) == ["file"])
    #expect(
      try names(drain(Tree.archive(root: root.raw, path: "/"))) == [
        "/", "/a/", "/a/b/", "/a/b/file", "/a/out", "/link",
      ])
    #expect(try names(drain(Tree.export(root: root.raw))) == ["a/", "a/b/", "a/b/file", "a/out", "link"])
    for missing in ["/nowhere", "/a/out/passwd", "/a/b/file/x", "/../../etc/passwd"] {
      #expect(throws: ApusError.self) { try Tree.archive(root: root.raw, path: missing) }
    }
    let link = try Tree.stat(root: root.raw, path: "/link")
    #expect(link.name == "link" && link.linkTarget == "/a/b" && Tree.goMode(link.mode) == 1 << 27 | 0o777)
    #expect(try Tree.stat(root: root.raw, path: "/a/out").linkTarget == "/etc")
    #expect(try Tree.stat(root: root.raw, path: "/").name == "/")
    #expect(try Tree.goMode(Tree.stat(root: root.raw, path: "/a/").mode) == 1 << 31 | 0o755)
    #expect(throws: ApusError.self) { try Tree.stat(root: root.raw, path: "/none") }
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"))
  func extractionStaysInside() throws {
    let scratch = try Scratch()
    let root = try makeRoot(scratch)
    try Files.writeAtomically(Array("outside".utf8), to: scratch.path + "/secret")
    var builder = TarBuilder()
    builder.symlink("up", "../..")
    builder.file("up/planted", "1")
    builder.symlink("absolute", "/tmp")
    builder.file("absolute/\(scratch.path.dropFirst(5))", "3")
    builder.file("../../../dots", "2")
    builder.hardLink("hard", "../../secret")
    try Files.makeDirectory(scratch.path + "/root/in")
    try Files.makeDirectory(scratch.path + "/root/tmp")
    #expect(throws: ApusError.self) { try extract(builder.archive, into: root.raw, at: "/in") }
    let outside = try scratch.open()
    #expect(try TreeStep.list(outside.raw).map(\.text) == ["root", "secret"])
    #expect(try text(root.raw, "/planted") == "1")
    #expect(try text(root.raw, "/in/dots") == "2")
    // The link leads to the same path inside the root.
    #expect(try text(root.raw, scratch.path) == "3")
    var dangling = TarBuilder()
    dangling.symlink("nowhere", scratch.path + "/none")
    dangling.file("nowhere/x", "4")
    #expect(throws: ApusError.self) { try extract(dangling.archive, into: root.raw, at: "/in") }
    #expect(!Files.exists(scratch.path + "/none"))
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"))
  func extractionOptions() throws {
    let scratch = try Scratch()
    let root = try makeRoot(scratch)
    var first = TarBuilder()
    first.directory("d")
    first.file("d/f", "old", mode: 0o4755)
    first.file("f", "old")
    try extract(first.archive, into: root.raw)
    #expect(try Tree.stat(root: root.raw, path: "d/f").mode & 0o7777 == 0o4755)
    var options = Tree.ExtractOptions()
    options.noOverwriteDirNonDir = true
    var clash = TarBuilder()
    clash.file("d", "file")
    #expect(throws: ApusError.self) { try extract(clash.archive, into: root.raw, options: options) }
    var other = TarBuilder()
    other.directory("f")
    #expect(throws: ApusError.self) { try extract(other.archive, into: root.raw, options: options) }
    try extract(clash.archive, into: root.raw)
    #expect(try text(root.raw, "d") == "file")
    var owned = Tree.ExtractOptions()
    owned.owner = Tree.Owner(uid: 7, gid: 8)
    var last = TarBuilder()
    last.file("new/f", "x")
    try extract(last.archive, into: root.raw, options: owned)
    var status = stat()
    #expect(lstat(scratch.path + "/root/new/f", &status) == 0 && status.st_uid == 7 && status.st_gid == 8)
    #expect(lstat(scratch.path + "/root/new", &status) == 0 && status.st_uid == 7)
    #expect(throws: ApusError.self) { try Tree.extract(root: root.raw, path: "/none") }
    #expect(throws: ApusError.self) { try Tree.extract(root: root.raw, path: "/f") }
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"))
  func changesOfAnOverlay() throws {
    let scratch = try Scratch()
    for name in ["lower", "upper", "work", "merged"] { try Files.makeDirectory("\(scratch.path)/\(name)") }
    let lower = try scratch.open("lower")
    var builder = TarBuilder()
    for path in ["etc/passwd", "etc/group", "usr/bin/tool", "var/a", "var/b", "var/c/d", "old/x"] {
      builder.file(path, path)
    }
    try extract(builder.archive, into: lower.raw)
    let overlay = try Mounts.overlay(
      lower: [scratch.path + "/lower"], upper: scratch.path + "/upper", work: scratch.path + "/work")
    try Mounts.attach(overlay.raw, scratch.path + "/merged")
    defer { try? Mounts.unmount(scratch.path + "/merged", lazily: true) }
    #expect(
      run(
        "cd \(scratch.path)/merged && echo x >> etc/passwd && rm etc/group && mkdir -p new/sub && echo 1 > new/sub/f"
          + " && rm -rf var && mkdir var && echo 2 > var/b && echo 3 > var/n && chmod 700 usr/bin && mv old/x old/y && ln new/sub/f new/hard"
      ) == 0)
    let upper = try scratch.open("upper")
    let changes = try Tree.changes(upper: upper.raw, lowers: [lower.raw])
    let lines = changes.map { "\($0.kind == .added ? "A" : $0.kind == .deleted ? "D" : "C") \($0.path)" }
    #expect(
      lines == [
        "C /etc", "D /etc/group", "C /etc/passwd", "A /new", "A /new/hard", "A /new/sub", "A /new/sub/f", "C /old",
        "D /old/x",
        "A /old/y", "C /usr", "C /usr/bin", "C /var", "D /var/a", "C /var/b", "D /var/c", "A /var/n",
      ])
    // As a layer, over the same lower one, it is the same tree.
    let layer = try drain(try Tree.layerTar(upper: upper.raw))
    let found = try names(layer)
    #expect(found.contains("var/.wh..wh..opq") && found.contains("etc/.wh.group") && found.contains("old/.wh.x"))
    try convert(layer, to: scratch.path + "/image")
    try withMounted(scratch.path + "/image", at: scratch.path + "/layer") { _ in
      let again = try Mounts.overlay(lower: [scratch.path + "/layer", scratch.path + "/lower"])
      let result = try differences(overlay.raw, again.raw)
      #expect(result == [])
    }
    #expect(try Tree.diskUsage(upper.raw).bytes > 0)
  }

  @Test func removesAnyTree() throws {
    let scratch = try Scratch()
    let top = try scratch.open()
    // Far deeper than a path can say.
    var current = try scratch.open()
    let name = EntryName(String(repeating: "d", count: 200).utf8)
    for _ in 0..<400 {
      #expect(mkdirat(current.raw, name.terminated, 0o755) == 0)
      #expect(symlinkat("/etc", current.raw, "link") == 0)
      current = try TreeStep.openDirectory(name, at: current.raw)
    }
    try Files.makeDirectories(scratch.path + "/many")
    for index in 0..<500 { try Files.writeAtomically([1], to: scratch.path + "/many/\(index)") }
    try Tree.removeAll(parent: top.raw, name: "many")
    try Tree.removeAll(parent: top.raw, name: "link")
    try Tree.removeAll(parent: top.raw, name: String(repeating: "d", count: 200))
    try Tree.removeAll(parent: top.raw, name: "never-there")
    #expect(try TreeStep.list(top.raw).isEmpty)
    #expect(Files.exists("/etc/passwd"))
    for wrong in ["", ".", "..", "a/b"] {
      #expect(throws: ApusError.self) { try Tree.removeAll(parent: top.raw, name: wrong) }
    }
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"))
  func mountsAreNotEntered() throws {
    let scratch = try Scratch()
    let root = try makeRoot(scratch)
    try Files.makeDirectories(scratch.path + "/root/d/m")
    try Files.writeAtomically([1], to: scratch.path + "/root/f")
    try Mounts.mount(type: "tmpfs", source: "none", on: scratch.path + "/root/d/m")
    defer { try? Mounts.unmount(scratch.path + "/root/d/m", lazily: true) }
    try Files.writeAtomically([1, 2, 3], to: scratch.path + "/root/d/m/inside")
    #expect(try names(drain(Tree.export(root: root.raw))) == ["d/", "d/m/", "f"])
    #expect(try names(drain(Tree.archive(root: root.raw, path: "/d"))) == ["d/", "d/m/", "d/m/inside"])
    #expect(try Tree.diskUsage(root.raw).bytes == 1)
    let top = try scratch.open()
    #expect(throws: ApusError.self) { try Tree.removeAll(parent: top.raw, name: "root") }
    #expect(Files.exists(scratch.path + "/root/d/m/inside"))
  }

  @Test(.enabled(if: debianArchive != nil && isRoot, "needs root and, in APUS_TEST_DEBIAN_TAR, a root archive"))
  func debian() throws {
    let scratch = try Scratch()
    let store = try scratch.makeStore()
    let ingest = try LayerIngest(store: store, keepBlob: false)
    let file = try Files.open(#require(debianArchive), flags: O_RDONLY)
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    while true {
      let count = read(file.raw, &buffer, buffer.count)
      if count <= 0 { break }
      try buffer.withUnsafeBytes { try ingest.write(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
    let layer = try ingest.finish()
    let lease = try store.acquire([layer.diffID])
    defer {
      lease.release()
      store.unmountIdle(grace: .zero)
    }
    if fsckIsThere { #expect(run("fsck.erofs \(store.path(for: layer.diffID))") == 0) }
    // Out again, and in: the tree must be the same.
    let mounted = try Files.open(lease.paths[0], flags: O_RDONLY | O_DIRECTORY)
    // Entry by entry what GNU tar makes of it.
    try Files.makeDirectory(scratch.path + "/tar")
    let options = "--numeric-owner --xattrs --xattrs-include='*' -p -C \(scratch.path)/tar"
    try #require(run("tar \(options) -xf \(#require(debianArchive))") == 0)
    let extracted = try scratch.open("tar")
    #expect(try differences(extracted.raw, mounted.raw) == [])
    let back = try LayerIngest(store: store, keepBlob: false)
    let archive = try Tree.layerTar(upper: mounted.raw)
    while let piece = try archive.read() { try piece.withUnsafeBytes { try back.write($0) } }
    let second = try back.finish()
    #expect(second.entries == layer.entries - 1)
    let other = try store.acquire([second.diffID])
    defer {
      other.release()
      store.unmountIdle(grace: .zero)
    }
    let again = try Files.open(other.paths[0], flags: O_RDONLY | O_DIRECTORY)
    #expect(try differences(mounted.raw, again.raw) == [])
  }
}

import Errors
import Glibc
import Linux
import Testing

@testable import Layers

/// The same layers in every store.
@Suite(.serialized) struct StoredTreeTests {
  /// The rules for trees are the same in all; only what makes files of them differs.
  static let randomTrees: [(StoreForm, Int)] =
    (0..<24).map { (.erofs, $0) } + (0..<6).flatMap { [(.directories, $0), (.userDirectories, $0 + 6)] }

  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: randomTrees)
  func randomTreesArriveWhole(form: StoreForm, seed: Int) throws {
    let tree = RandomTree(
      seed: UInt64(seed) + 1000, size: seed < 20 ? 150 : 900, sparse: seed % 2 == 0,
      attributeLimit: form == .erofs ? 3000 : 60)
    let scratch = try Scratch()
    try withLayer(tree.archive, in: form, scratch, seed: UInt64(seed)) { root in try compare(tree, root, seed, form) }
  }

  private func compare(_ tree: RandomTree, _ root: Int32, _ seed: Int, _ form: StoreForm) throws {
    var inodes: [ObjectIdentifier: FileIdentity] = [:]
    var names: [ObjectIdentifier: Int] = [:]
    for node in tree.expected.values { names[ObjectIdentifier(node), default: 0] += 1 }
    for (path, node) in tree.expected {
      let where_ = "seed \(seed), '\(path.prefix(300))'"
      let cut = path.lastIndex(of: "/")
      let parent = try Files.open(
        at: root, path: "/" + (cut.map { String(path[..<$0]) } ?? ""), flags: O_RDONLY | O_DIRECTORY,
        resolve: [.inRoot, .noSymlinks])
      let leaf = EntryName((cut.map { path[path.index(after: $0)...] } ?? path[...]).utf8)
      let name = path.isEmpty ? EntryName(".".utf8) : leaf
      guard let status = try EntryStatus.find(name, at: parent.raw) else {
        Issue.record("missing: \(where_)")
        continue
      }
      let entry = node.entry
      #expect(status.mode & 0o7777 == UInt32(entry.mode), "\(where_)")
      #expect(status.uid == entry.uid && status.gid == entry.gid, "\(where_)")
      #expect(
        status.modifiedSeconds == entry.modifiedSeconds && status.modifiedNanoseconds == entry.modifiedNanoseconds,
        "\(where_)")
      switch entry.kind {
      case .regular:
        #expect(status.isRegular, "\(where_)")
        let file = try TreeStep.open(name, at: parent.raw, flags: O_RDONLY)
        #expect(try Files.read(descriptor: file.raw, limit: 1 << 24) == node.data, "\(where_)")
      case .symbolicLink: #expect(try TreeStep.readLink(name, at: parent.raw) == entry.linkTarget, "\(where_)")
      case .directory:
        #expect(status.isDirectory, "\(where_)")
        let directory = try TreeStep.openDirectory(name, at: parent.raw)
        let prefix = path.isEmpty ? "" : path + "/"
        let children = tree.expected.keys.filter {
          !$0.isEmpty && $0.hasPrefix(prefix) && !$0.dropFirst(prefix.count).contains("/")
        }
        #expect(
          Set(try TreeStep.list(directory.raw).map { String(decoding: $0.bytes, as: UTF8.self) })
            == Set(children.map { String($0.dropFirst(prefix.count)) }), "\(where_)")
        let subdirectories = children.filter { tree.expected[$0]?.entry.kind == .directory }.count
        #expect(status.links == UInt32(2 + subdirectories), "\(where_)")
        let opaque = try ExtendedAttributes.get(form.opaque, of: directory.raw)
        #expect((opaque == [UInt8(ascii: "y")]) == node.isOpaque, "\(where_)")
      case .characterDevice, .blockDevice:
        #expect(status.has(type: entry.kind == .blockDevice ? S_IFBLK : S_IFCHR), "\(where_)")
        #expect(status.deviceMajor == entry.deviceMajor && status.deviceMinor == entry.deviceMinor, "\(where_)")
      case .fifo: #expect(status.has(type: S_IFIFO), "\(where_)")
      case .hardLink: Issue.record("a hard link is no file of its own")
      }
      if entry.kind != .directory {
        #expect(status.links == UInt32(names[ObjectIdentifier(node)] ?? 0), "\(where_)")
        if let first = inodes[ObjectIdentifier(node)] { #expect(first == status.identity, "\(where_)") }
        inodes[ObjectIdentifier(node)] = status.identity
      }
      let attributes = try TreeStep.attributes(name, at: parent.raw).filter {
        !$0.name.starts(with: Array("user.overlay.".utf8))
      }
      #expect(attributes.map(\.name) == entry.attributes.map(\.name), "\(where_)")
      #expect(attributes.map(\.value) == entry.attributes.map(\.value), "\(where_)")
    }
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: StoreForm.allCases)
  func namesOfEveryKind(form: StoreForm) throws {
    var builder = TarBuilder()
    builder.hardLink("early", "late")
    builder.hardLink("earlier", "early")
    builder.file("late", "content")
    builder.symlink("lib", "usr/lib")
    builder.file("lib/through-link", "1")
    builder.symlink("up", "../../../etc")
    builder.file("up/above", "2")
    builder.symlink("absolute", "/var/./x/..")
    builder.file("absolute/log", "3")
    builder.file("was-file", "old")
    builder.file("was-file/inside", "new")
    builder.file("../../escaped", "4")
    builder.file("/rooted//twice/./x", "5")
    builder.file("twice", "first")
    builder.file("twice", "second")
    builder.directory("kept", mode: 0o700)
    builder.file("kept/child", "6")
    builder.directory("kept", mode: 0o750)
    builder.directory("gone")
    builder.file("gone/child")
    builder.file("gone", "file now")
    builder.file(".wh.hidden")
    builder.file(".wh.both")
    builder.directory("both")
    builder.file("a/.wh..wh..opq")
    builder.file(".wh..wh.plnk")
    var overlay = TarEntry(.directory, "speaks")
    overlay.attributes = [(Array("trusted.overlay.redirect".utf8), Array("/etc".utf8))]
    builder.add(overlay)
    var bytes = TarEntry(.regular, "")
    bytes.path = [0xff, 0xfe, 0x41]
    builder.add(bytes, [1])
    let scratch = try Scratch()
    try withLayer(builder.archive, in: form, scratch) { root in
      func text(_ path: String) throws -> String {
        String(decoding: try Files.read(at: root, path: path, resolve: [.inRoot, .noSymlinks]), as: UTF8.self)
      }
      func status(_ name: String) throws -> EntryStatus {
        try #require(try EntryStatus.find(EntryName(name.utf8), at: root))
      }
      #expect(try text("early") == "content")
      #expect(try status("early").links == 3)
      #expect(try status("earlier").identity == status("late").identity)
      #expect(try text("usr/lib/through-link") == "1")
      #expect(try text("etc/above") == "2")
      #expect(try text("var/log") == "3")
      #expect(try text("was-file/inside") == "new")
      #expect(try text("escaped") == "4")
      #expect(try text("rooted/twice/x") == "5")
      #expect(try text("twice") == "second")
      #expect(try status("kept").mode & 0o777 == 0o750)
      #expect(try text("kept/child") == "6")
      #expect(try text("gone") == "file now")
      #expect(try status("hidden").isWhiteout)
      #expect(try EntryStatus.find(EntryName(".wh..wh.plnk".utf8), at: root) == nil)
      for name in ["both", "a"] {
        let directory = try TreeStep.openDirectory(EntryName(name.utf8), at: root)
        #expect(try ExtendedAttributes.get(form.opaque, of: directory.raw) == [0x79])
      }
      let speaks = try TreeStep.openDirectory(EntryName("speaks".utf8), at: root)
      #expect(try ExtendedAttributes.get("trusted.overlay.redirect", of: speaks.raw) == nil)
      #expect(try ExtendedAttributes.get("trusted.overlay.overlay.redirect", of: speaks.raw) != nil)
      #expect(try EntryStatus.find(EntryName([0xff, 0xfe, 0x41]), at: root) != nil)
    }
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: StoreForm.allCases)
  func hundredThousandNames(form: StoreForm) throws {
    var builder = TarBuilder()
    let count = form == .erofs ? 100_000 : 10_000
    builder.bytes.reserveCapacity(count * 520)
    for index in 0..<count {
      builder.bytes += TarWriter.header(TarEntry(.regular, "many/file-\(index &* 7919 % count)"))
    }
    let scratch = try Scratch()
    try withLayer(builder.archive, in: form, scratch) { root in
      let many = try TreeStep.openDirectory(EntryName("many".utf8), at: root)
      #expect(try TreeStep.list(many.raw).count == count)
      for index in stride(from: 0, to: count, by: 997) {
        #expect(try EntryStatus.find(EntryName("file-\(index)".utf8), at: many.raw) != nil)
      }
      #expect(try EntryStatus.find(EntryName("file-\(count)".utf8), at: many.raw) == nil)
    }
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: StoreForm.allCases)
  func emptyLayer(form: StoreForm) throws {
    let scratch = try Scratch()
    try withLayer([], in: form, scratch) { root in
      let isEmpty = try Tree.isEmpty(root)
      #expect(isEmpty)
    }
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: StoreForm.allCases)
  func hugeSparseFile(form: StoreForm) throws {
    let size: Int64 = 1 << 40
    var builder = TarBuilder()
    builder.pax([("GNU.sparse.size", "\(size)"), ("GNU.sparse.map", "5,3,\(size - 4),4"), ("GNU.sparse.name", "huge")])
    builder.add(TarEntry(.regular, "x"), Array("abcdefg".utf8))
    builder.file("after", "fine")
    let scratch = try Scratch()
    try withLayer(builder.archive, in: form, scratch) { root in
      let file = try TreeStep.open(EntryName("huge".utf8), at: root, flags: O_RDONLY)
      #expect(try EntryStatus.of(file.raw).size == size)
      var bytes = [UInt8](repeating: 1, count: 8)
      #expect(pread(file.raw, &bytes, 8, 2) == 8)
      #expect(bytes == [0, 0, 0] + Array("abc".utf8) + [0, 0])
      #expect(pread(file.raw, &bytes, 8, off_t(size) - 6) == 6)
      #expect(Array(bytes[..<6]) == Array("\0\0defg".utf8))
      #expect(pread(file.raw, &bytes, 8, off_t(size / 2)) == 8)
      #expect(bytes == [UInt8](repeating: 0, count: 8))
      #expect(try Files.read(at: root, path: "after") == Array("fine".utf8))
    }
  }

  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: StoreForm.allCases)
  func attributesOfEveryNamespace(form: StoreForm) throws {
    // cap_net_raw+ep, revision 2; an access list with one user more.
    let capability: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    func rule(_ tag: UInt8, _ rights: UInt8, _ id: UInt32 = .max) -> [UInt8] {
      [tag, 0, rights, 0] + (0..<4).map { UInt8(truncatingIfNeeded: id >> ($0 * 8)) }
    }
    let list: [UInt8] =
      [2, 0, 0, 0] + rule(1, 6) + rule(2, 4, 1000) + rule(4, 4) + rule(0x10, 4) + rule(0x20, 0)
    var program = TarEntry(.regular, "ping", mode: 0o4755)
    program.uid = 3_000_000_000
    program.attributes = [
      (Array("security.capability".utf8), capability), (Array("user.empty".utf8), []),
      (Array("user.note".utf8), Array("text".utf8)),
    ]
    var shared = TarEntry(.directory, "shared", mode: 0o640)
    shared.attributes = [
      (Array("system.posix_acl_access".utf8), list), (Array("system.posix_acl_default".utf8), list),
      // Nobody has a place for it: lost, as everywhere.
      (Array("com.example".utf8), [1]),
    ]
    var builder = TarBuilder()
    builder.add(program, [0x7f])
    builder.add(shared)
    let scratch = try Scratch()
    try withLayer(builder.archive, in: form, scratch) { root in
      let file = try TreeStep.open(EntryName("ping".utf8), at: root, flags: O_PATH)
      #expect(try ExtendedAttributes.get("security.capability", of: file.raw) == capability)
      #expect(try ExtendedAttributes.get("user.empty", of: file.raw) == [])
      #expect(try ExtendedAttributes.get("user.note", of: file.raw) == Array("text".utf8))
      let status = try EntryStatus.of(file.raw)
      #expect(status.mode & 0o7777 == 0o4755 && status.uid == 3_000_000_000)
      let directory = try TreeStep.openDirectory(EntryName("shared".utf8), at: root)
      #expect(try ExtendedAttributes.get("system.posix_acl_access", of: directory.raw) == list)
      #expect(try ExtendedAttributes.get("system.posix_acl_default", of: directory.raw) == list)
    }
  }

  /// Deeper than descriptors or stack would reach.
  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: StoreForm.allCases)
  func deepTrees(form: StoreForm) throws {
    let depth = 3000
    var builder = TarBuilder()
    let path = String(repeating: "d/", count: depth)
    builder.gnuLong("L", path + "leaf")
    builder.file("leaf", "deep")
    let scratch = try Scratch()
    try withLayer(builder.archive, in: form, scratch) { root in
      var current = try TreeStep.reopen(directory: root)
      for _ in 0..<depth { current = try TreeStep.openDirectory(EntryName("d".utf8), at: current.raw) }
      #expect(try Files.read(at: current.raw, path: "leaf") == Array("deep".utf8))
    }
  }

  /// Sizes and times that the plain header's digits cannot say.
  @Test(.enabled(if: isRoot, "\(needsRoot)"), arguments: StoreForm.allCases)
  func numbersBeyondOctal(form: StoreForm) throws {
    var builder = TarBuilder()
    builder.pax([("mtime", "-1.25"), ("uid", "4294967294"), ("gid", "2147483648")])
    builder.file("pax", "1")
    // GNU's base-256, two's complement.
    builder.raw(TarEntry(.regular, "gnu")) { header in
      for index in 136..<148 { header[index] = 0xff }
      header[147] = 0xfe
      for index in 108..<116 { header[index] = 0 }
      header[108] = 0x80
      header[112] = 0xf0
    }
    // Over 4 GiB, all but the ends a hole.
    let size = 5 << 30
    builder.pax([("GNU.sparse.size", "\(size)"), ("GNU.sparse.map", "0,1,\(size - 1),1"), ("GNU.sparse.name", "big")])
    builder.add(TarEntry(.regular, "x"), Array("ab".utf8))
    let scratch = try Scratch()
    try withLayer(builder.archive, in: form, scratch) { root in
      func status(_ name: String) throws -> EntryStatus {
        try #require(try EntryStatus.find(EntryName(name.utf8), at: root))
      }
      let pax = try status("pax")
      #expect(pax.modifiedSeconds == -2 && pax.modifiedNanoseconds == 750_000_000)
      #expect(pax.uid == 4_294_967_294 && pax.gid == 2_147_483_648)
      let gnu = try status("gnu")
      #expect(gnu.modifiedSeconds == -2 && gnu.uid == 0xf000_0000)
      #expect(try status("big").size == Int64(size))
      let file = try TreeStep.open(EntryName("big".utf8), at: root, flags: O_RDONLY)
      var last = [UInt8](repeating: 0, count: 2)
      #expect(pread(file.raw, &last, 2, off_t(size) - 2) == 2 && last == [0, UInt8(ascii: "b")])
    }
  }
}

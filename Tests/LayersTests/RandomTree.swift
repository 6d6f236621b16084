import Glibc

@testable import Layers

/// A random layer: as an archive, and as the tree that it must become.
struct RandomTree {
  final class Node {
    var entry: TarEntry
    var data: [UInt8] = []
    var isOpaque = false
    init(_ entry: TarEntry) { self.entry = entry }
  }

  private(set) var archive: [UInt8] = []
  /// By path without slashes at its ends; the root is the empty path.
  private(set) var expected: [String: Node] = [:]
  private var random: Seeded
  private let sparse: Bool
  /// Only what any file system can hold: no whiteouts, small attributes.
  private let ordinary: Bool
  /// Bytes of one attribute.
  private let attributeLimit: Int

  init(seed: UInt64, size: Int, sparse: Bool = false, ordinary: Bool = false, attributeLimit: Int = 3000) {
    self.attributeLimit = ordinary ? 60 : attributeLimit
    random = Seeded(seed)
    self.sparse = sparse
    self.ordinary = ordinary
    let root = TarEntry(.directory, "", mode: 0o755)
    expected[""] = Node(root)
    var builder = TarBuilder()
    for index in 0..<size { step(index, &builder) }
    archive = builder.archive
  }

  private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

  private mutating func name() -> String {
    switch number(0...19) {
    case 0: return String(repeating: "long", count: number(20...63))
    case 1: return "späce \u{1F40B} \(number(0...9))"
    case 2: return "-\(number(0...99))"
    case 3: return "!\(number(0...99))"
    case 4: return "..\(number(0...99))"
    default: return "n\(number(0...400))"
    }
  }

  private mutating func directory() -> String {
    let directories = expected.filter { $0.value.entry.kind == .directory }.keys.filter { $0.utf8.count < 1500 }
      .sorted()
    return directories[number(0...directories.count - 1)]
  }

  private mutating func bytes() -> [UInt8] {
    let sizes = [0, 1, 100, 1023, 1024, 1025, 4095, 4096, 4097, 8192, 12345, 70_000]
    let count = sizes[number(0...sizes.count - 1)]
    let first = UInt8(number(0...255))
    return (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) ^ first }
  }

  private mutating func step(_ index: Int, _ builder: inout TarBuilder) {
    let parent = directory()
    let leaf = name()
    let path = parent.isEmpty ? leaf : parent + "/" + leaf
    var entry = TarEntry(.regular, path, mode: UInt16(number(0...0o7777)))
    entry.uid = random.chance(20) ? UInt32.random(in: 0...UInt32.max - 1, using: &random) : 0
    entry.gid = UInt32(number(0...70_000))
    entry.modifiedSeconds = Int64(number(-1_000_000_000...4_000_000_000))
    entry.modifiedNanoseconds = random.chance(50) ? UInt32(number(0...999_999_999)) : 0
    var data: [UInt8] = []
    switch number(0...19) {
    case 0...5: entry.kind = .directory
    case 6: entry.kind = .symbolicLink
    case 7: entry.kind = .fifo
    case 8:
      entry.kind = random.chance(50) ? .characterDevice : .blockDevice
      entry.deviceMajor = UInt32(number(1...4095))
      entry.deviceMinor = UInt32(number(0...1_048_575))
    case 9: return addHardLink(entry, path, &builder)
    case 10 where !ordinary: return addWhiteout(parent, leaf, path, &builder)
    case 11 where sparse: return addSparse(entry, path, &builder)
    default: data = bytes()
    }
    if entry.kind == .symbolicLink {
      entry.linkTarget = Array(String(repeating: "t", count: number(1...(random.chance(10) ? 4095 : 200))).utf8)
      entry.mode = 0o777
    }
    if random.chance(15) {
      for attribute in 0..<number(1...4) {
        entry.attributes.append(
          (
            Array("trusted.a\(attribute)".utf8),
            (0..<number(0...(random.chance(10) ? attributeLimit : 60))).map { UInt8(truncatingIfNeeded: $0) }
          ))
      }
    }
    builder.add(written(entry), data)
    place(entry, data, at: path)
  }

  /// The same path in another spelling.
  private mutating func written(_ entry: TarEntry) -> TarEntry {
    var copy = entry
    switch number(0...5) {
    case 0: copy.path = Array("./".utf8) + copy.path
    case 1: copy.path = Array("/".utf8) + copy.path
    case 2: copy.path = Array("../nowhere/../".utf8) + copy.path
    default: break
    }
    if entry.kind == .directory, random.chance(70) { copy.path.append(0x2f) }
    return copy
  }

  private mutating func place(_ entry: TarEntry, _ data: [UInt8], at path: String) {
    let old = expected[path]
    if let old, old.entry.kind == .directory, entry.kind == .directory {
      old.entry = entry
      return
    }
    if old?.entry.kind == .directory { remove(below: path) }
    let node = Node(entry)
    node.data = data
    node.isOpaque = entry.kind == .directory && isWhiteout(old)
    expected[path] = node
  }

  private func isWhiteout(_ node: Node?) -> Bool {
    guard let node else { return false }
    return node.entry.kind == .characterDevice && node.entry.deviceMajor == 0 && node.entry.deviceMinor == 0
  }

  private mutating func remove(below path: String) {
    for key in expected.keys where key.hasPrefix(path + "/") { expected[key] = nil }
  }

  private mutating func addHardLink(_ entry: TarEntry, _ path: String, _ builder: inout TarBuilder) {
    let targets = expected.filter {
      $0.value.entry.kind != .directory && $0.key != path && !$0.key.hasPrefix(path + "/")
    }.keys.sorted()
    guard !targets.isEmpty else { return }
    let target = targets[number(0...targets.count - 1)]
    var entry = entry
    entry.kind = .hardLink
    entry.linkTarget = Array(target.utf8)
    builder.add(entry)
    if expected[path]?.entry.kind == .directory { remove(below: path) }
    expected[path] = expected[target]
  }

  private mutating func addWhiteout(_ parent: String, _ leaf: String, _ path: String, _ builder: inout TarBuilder) {
    let prefix = parent.isEmpty ? "" : parent + "/"
    if random.chance(40), !parent.isEmpty {
      builder.file(prefix + ".wh..wh..opq")
      expected[parent]?.isOpaque = true
      return
    }
    guard leaf.utf8.count < 250 else { return }
    builder.file(prefix + ".wh." + leaf)
    if let old = expected[path] {
      if old.entry.kind == .directory { old.isOpaque = true }
      return
    }
    expected[path] = Node(TarEntry(.characterDevice, path, mode: 0))
  }

  private mutating func addSparse(_ entry: TarEntry, _ path: String, _ builder: inout TarBuilder) {
    var map: [Int] = []
    var data: [UInt8] = []
    var content: [UInt8] = []
    for _ in 0..<number(0...4) {
      let hole = number(0...200_000)
      let length = number(1...70_000)
      content.append(contentsOf: repeatElement(0, count: hole))
      map += [content.count, length]
      let piece = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 + hole) }
      content += piece
      data += piece
    }
    content.append(contentsOf: repeatElement(0, count: number(0...100_000)))
    var shown = entry
    shown.mode = entry.mode
    builder.pax([
      ("GNU.sparse.size", "\(content.count)"), ("GNU.sparse.map", map.map { "\($0)" }.joined(separator: ",")),
      ("GNU.sparse.name", path), ("uid", "\(entry.uid)"), ("gid", "\(entry.gid)"),
      ("mtime", "\(entry.modifiedSeconds)"),
    ])
    shown.path = Array("sparse".utf8)
    shown.uid = 0
    shown.gid = 0
    shown.modifiedSeconds = 0
    shown.modifiedNanoseconds = 0
    builder.add(shown, data)
    var final = entry
    final.modifiedNanoseconds = 0
    place(final, content, at: path)
  }
}

import Errors
import Glibc
import ImageSpec
import Linux
import Testing

@testable import Layers

/// The same sequence on every run (SplitMix64).
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

let isRoot = geteuid() == 0
let needsRoot = "needs root: it mounts file systems and makes devices"

/// A real distribution's root as a plain tar archive.
let debianArchive = getenv("APUS_TEST_DEBIAN_TAR").map { String(cString: $0) }

/// A directory that goes away with everything in it.
final class Scratch {
  let path: String
  init() throws {
    path = TemporaryName.next(in: "/tmp") + ".layers-test"
    try Files.makeDirectory(path)
  }
  deinit {
    guard let parent = try? Files.open("/tmp", flags: O_RDONLY | O_DIRECTORY) else { return }
    try? Tree.removeAll(parent: parent.raw, name: String(path.dropFirst("/tmp/".count)))
  }
  func open(_ name: String = "") throws -> OwnedDescriptor {
    try Files.open("\(path)/\(name)", flags: O_RDONLY | O_DIRECTORY)
  }
  func makeStore() throws -> EROFSLayerStore {
    try EROFSLayerStore(
      root: "\(path)/layers", runDirectory: "\(path)/run", content: ContentStore(root: "\(path)/content"))
  }

  /// - Parameter boot: the kernel's run, as if it were another.
  func makeStore(_ form: StoreForm, boot: String? = nil) throws -> any LayerStore {
    let content = try ContentStore(root: "\(path)/content", boot: boot)
    switch form {
    case .erofs:
      return try EROFSLayerStore(root: "\(path)/layers", runDirectory: "\(path)/run", content: content, boot: boot)
    case .directories, .userDirectories:
      return try DirectoryLayerStore(
        root: "\(path)/layers", runDirectory: "\(path)/run", content: content,
        marking: form == .directories ? .trusted : .user, boot: boot)
    }
  }
}

/// Every store there is.
enum StoreForm: CaseIterable {
  case erofs, directories, userDirectories

  var opaque: String { self == .userDirectories ? "user.overlay.opaque" : "trusted.overlay.opaque" }
}

/// Makes a layer of an archive and shows it as overlayfs gets to see it. fsck.erofs must accept it.
func withLayer<Result>(
  _ archive: [UInt8], in form: StoreForm, _ scratch: Scratch, seed: UInt64 = 1, _ body: (Int32) throws -> Result
) throws -> Result {
  let store = try scratch.makeStore(form)
  let ingest = try LayerIngest(store: store, keepBlob: false)
  try push(archive, seed: seed) { try ingest.write($0) }
  let layer = try ingest.finish()
  if form == .erofs, fsckIsThere {
    // It walks deep trees by recursion.
    #expect(run("ulimit -s unlimited; fsck.erofs \(store.path(for: layer.diffID))") == 0)
  }
  let lease = try store.acquire([layer.diffID])
  defer {
    lease.release()
    store.unmountIdle(grace: .zero)
  }
  let root = try Files.open(lease.paths[0], flags: O_RDONLY | O_DIRECTORY)
  return try body(root.raw)
}

/// Runs a program; its output is shown when it fails.
func run(_ command: String) -> Int32 {
  let status = system("(\(command)) > /dev/null 2>&1")
  if status != 0 { _ = system(command) }
  return status
}

extension TarEntry {
  init(_ kind: Kind, _ path: String, link: String = "", mode: UInt16 = 0o644, size: Int64 = 0) {
    self.init()
    self.kind = kind
    self.path = Array(path.utf8)
    linkTarget = Array(link.utf8)
    self.mode = mode
    self.size = size
  }
}

/// An archive being put together.
struct TarBuilder {
  var bytes: [UInt8] = []

  mutating func add(_ entry: TarEntry, _ data: [UInt8] = []) {
    var entry = entry
    if entry.kind == .regular { entry.size = Int64(data.count) }
    bytes += TarWriter.header(entry) + data
    bytes.append(contentsOf: repeatElement(0, count: TarWriter.padding(of: Int64(data.count))))
  }
  mutating func file(_ path: String, _ text: String = "", mode: UInt16 = 0o644) {
    add(TarEntry(.regular, path, mode: mode), Array(text.utf8))
  }
  mutating func directory(_ path: String, mode: UInt16 = 0o755) { add(TarEntry(.directory, path, mode: mode)) }
  mutating func symlink(_ path: String, _ target: String) { add(TarEntry(.symbolicLink, path, link: target)) }
  mutating func hardLink(_ path: String, _ target: String) { add(TarEntry(.hardLink, path, link: target)) }
  /// Any header, changed at will; its checksum is made right again.
  mutating func raw(_ entry: TarEntry, _ data: [UInt8] = [], _ change: (inout [UInt8]) -> Void) {
    var header = TarWriter.header(entry)
    change(&header)
    bytes += Self.sealed(header) + data
    bytes.append(contentsOf: repeatElement(0, count: TarWriter.padding(of: Int64(data.count))))
  }
  /// A PAX header with the given records, lengths counted.
  mutating func pax(_ records: [(String, String)], type: String = "x") {
    var body = ""
    for (key, value) in records {
      var length = key.utf8.count + value.utf8.count + 3
      while "\(length)".utf8.count + key.utf8.count + value.utf8.count + 3 != length { length += 1 }
      body += "\(length) \(key)=\(value)\n"
    }
    raw(TarEntry(.regular, "PaxHeaders/x", size: Int64(body.utf8.count)), Array(body.utf8)) {
      $0[156] = type.utf8.first ?? 0
    }
  }
  /// GNU's long name (L) or long link (K).
  mutating func gnuLong(_ type: String, _ text: String) {
    raw(TarEntry(.regular, "././@LongLink", size: Int64(text.utf8.count + 1)), Array(text.utf8) + [0]) {
      $0[156] = type.utf8.first ?? 0
    }
  }
  static func sealed(_ header: [UInt8]) -> [UInt8] {
    var header = header
    for index in 148..<156 { header[index] = 0x20 }
    let sum = String(header.reduce(0) { $0 + Int($1) }, radix: 8)
    let text = String(repeating: "0", count: 6 - sum.count) + sum
    for (index, byte) in text.utf8.enumerated() { header[148 + index] = byte }
    header[154] = 0
    return header
  }
  var archive: [UInt8] { bytes + TarWriter.end }
}

/// Feeds bytes in pieces of random sizes.
func push(_ bytes: [UInt8], seed: UInt64 = 1, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
  var random = Seeded(seed)
  var start = 0
  while start < bytes.count {
    let count = min(
      bytes.count - start,
      random.chance(50) ? Int.random(in: 1...700, using: &random) : Int.random(in: 1...70_000, using: &random))
    try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[start..<start + count])) }
    start += count
  }
}

/// Remembers what a reader found.
final class RecordingSink: TarSink {
  var entries: [(entry: TarEntry, data: [UInt8])] = []
  func begin(_ entry: TarEntry) throws(ApusError) { entries.append((entry, [])) }
  func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    entries[entries.count - 1].data.append(contentsOf: bytes)
  }
  func hole(_ count: Int64) throws(ApusError) {
    guard count < 1 << 24 else { return }
    entries[entries.count - 1].data.append(contentsOf: repeatElement(0, count: Int(count)))
  }
  func end() throws(ApusError) {}

  static func read(_ archive: [UInt8], seed: UInt64 = 1) throws -> [(entry: TarEntry, data: [UInt8])] {
    var reader = TarReader()
    let sink = RecordingSink()
    try push(archive, seed: seed) { try reader.consume($0, into: sink) }
    try reader.finish()
    return sink.entries
  }
}

/// Converts an archive to an EROFS file, which fsck.erofs must accept.
func convert(_ archive: [UInt8], to path: String, seed: UInt64 = 1) throws {
  let file = try Files.open(path, flags: O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
  let converter = try LayerConverter(file, name: path)
  var reader = TarReader()
  try push(archive, seed: seed) { try reader.consume($0, into: converter) }
  try reader.finish()
  _ = try converter.finish(uuid: Array(0..<16))
}

/// Mounts an EROFS file for the duration of `body`.
func withMounted<Result>(_ file: String, at mountPoint: String, _ body: (Int32) throws -> Result) throws -> Result {
  try Files.makeDirectory(mountPoint)
  let mount = try Mounts.erofs(file: file)
  try Mounts.attach(mount.raw, mountPoint)
  defer { try? Mounts.unmount(mountPoint, lazily: true) }
  let root = try Files.open(mountPoint, flags: O_RDONLY | O_DIRECTORY)
  return try body(root.raw)
}

let fsckIsThere = access("/usr/bin/fsck.erofs", X_OK) == 0

/// Whatever two trees differ in.
func differences(_ a: Int32, _ b: Int32, path: String = "", attributes: Bool = true, deviceLinks: Bool = true) throws
  -> [String]
{
  var result: [String] = []
  let left = try TreeStep.list(a)
  if left != (try TreeStep.list(b)) { return ["names in '\(path)'"] }
  for name in left {
    let here = path + "/" + name.text
    guard let one = try EntryStatus.find(name, at: a), let two = try EntryStatus.find(name, at: b) else { continue }
    if one.mode != two.mode || one.uid != two.uid || one.gid != two.gid { result.append("owner or mode of \(here)") }
    if one.modifiedSeconds != two.modifiedSeconds { result.append("time of \(here)") }
    if one.links != two.links, !one.isDirectory, deviceLinks || one.isRegular { result.append("links of \(here)") }
    if one.deviceMajor != two.deviceMajor || one.deviceMinor != two.deviceMinor { result.append("device \(here)") }
    if attributes {
      let (first, second) = (try TreeStep.attributes(name, at: a), try TreeStep.attributes(name, at: b))
      if first.map(\.value) != second.map(\.value) { result.append("attributes of \(here)") }
    }
    if one.isRegular {
      let files = (
        try TreeStep.open(name, at: a, flags: O_RDONLY).release(),
        try TreeStep.open(name, at: b, flags: O_RDONLY).release()
      )
      defer { close(files.0); close(files.1) }
      if try Files.read(descriptor: files.0, limit: 1 << 26) != Files.read(descriptor: files.1, limit: 1 << 26) {
        result.append("content of \(here)")
      }
    } else if one.has(type: S_IFLNK) {
      if try TreeStep.readLink(name, at: a) != TreeStep.readLink(name, at: b) { result.append("target of \(here)") }
    } else if one.isDirectory {
      let first = try TreeStep.openDirectory(name, at: a)
      let second = try TreeStep.openDirectory(name, at: b)
      result += try differences(first.raw, second.raw, path: here, attributes: attributes, deviceLinks: deviceLinks)
    }
  }
  return result
}

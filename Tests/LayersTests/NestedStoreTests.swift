import Errors
import Glibc
import ImageSpec
import Linux
import Testing

@testable import Layers

/// A store in an overlay, as a container's root is one. overlayfs lets nobody make its whiteouts in there, so they are
/// files that say what they are, which it understands since Linux 6.7.
@Suite struct NestedStoreTests {
  /// The kernel's version.
  private static let kernel: [Int] = {
    var name = utsname()
    uname(&name)
    let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    return release.split(separator: ".").prefix(2).map { Int($0.prefix { $0.isNumber }) ?? 0 }
  }()
  private static let understandsFiles = !kernel.lexicographicallyPrecedes([6, 7])

  private func layer(_ archive: TarBuilder, in store: any LayerStore) throws -> Digest {
    let ingest = try LayerIngest(store: store, keepBlob: false)
    try push(archive.bytes + [UInt8](repeating: 0, count: 1024)) { try ingest.write($0) }
    return try ingest.finish().diffID
  }

  @Test(.enabled(if: isRoot && understandsFiles, "needs root and Linux 6.7"))
  func whiteoutsAreFiles() throws {
    let scratch = try Scratch()
    for name in ["lower", "upper", "work", "nested", "view"] { try Files.makeDirectory("\(scratch.path)/\(name)") }
    let path = scratch.path
    try #require(
      run("mount -t overlay -o lowerdir=\(path)/lower,upperdir=\(path)/upper,workdir=\(path)/work o \(path)/nested")
        == 0)
    defer { _ = run("umount -l \(path)/nested") }
    let store = try DirectoryLayerStore(
      root: "\(path)/nested/layers", runDirectory: "\(path)/run", content: ContentStore(root: "\(path)/nested/content"))
    var base = TarBuilder()
    base.directory("some")
    for name in ["some/kept", "some/hidden", "some/hidden too"] { base.file(name, "below") }
    base.directory("all")
    base.file("all/old", "below")
    base.file("single", "below")
    var top = TarBuilder()
    top.directory("some")
    for name in ["some/.wh.hidden", "some/.wh.hidden too"] { top.file(name) }
    top.directory("all")
    top.file("all/.wh..wh..opq")
    top.file("all/new", "above")
    top.file(".wh.single")
    let layers = [try layer(base, in: store), try layer(top, in: store)]

    // Nothing else is possible here.
    let marked = try Files.open("\(store.path(for: layers[1]))/fs/some", flags: O_RDONLY | O_DIRECTORY)
    #expect(mknodat(marked.raw, "device", mode_t(S_IFCHR), 0) == -1 && errno == EPERM)
    let hidden = try #require(try EntryStatus.find(EntryName("hidden".utf8), at: marked.raw))
    #expect(hidden.isRegular && !hidden.isWhiteout)
    #expect(
      try ExtendedAttributes.get("\(store.marking.prefix)opaque", ofPath: "\(store.path(for: layers[1]))/fs/some")
        == [UInt8(ascii: "x")])

    let lease = try store.acquire(layers)
    let options = (["ro", "lowerdir=" + lease.paths.joined(separator: ":")] + store.overlayOptions).joined(
      separator: ",")
    try #require(run("mount -t overlay -o \(options) o \(path)/view") == 0)
    defer { _ = run("umount \(path)/view") }
    func names(_ directory: String) throws -> [String] {
      let opened = try Files.open("\(path)/view\(directory)", flags: O_RDONLY | O_DIRECTORY)
      return try Files.entries(of: opened.raw).map(\.name).sorted()
    }
    #expect(try names("") == ["all", "some"])
    #expect(try names("/some") == ["kept"])
    #expect(try names("/all") == ["new"])
  }
}

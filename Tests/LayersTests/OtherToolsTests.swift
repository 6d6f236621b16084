import Errors
import Glibc
import Linux
import Testing

@testable import Layers

/// What other programs write must be read as they meant it, and the reverse.
@Suite(.serialized) struct OtherToolsTests {
  private func makeTree(_ scratch: Scratch, sparse: Bool) throws -> OwnedDescriptor {
    try Files.makeDirectory(scratch.path + "/tree")
    let root = try scratch.open("tree")
    let extractor = try Tree.extract(root: root.raw, path: "/")
    try push(RandomTree(seed: 77, size: 200, sparse: sparse, ordinary: true).archive) { try extractor.write($0) }
    try extractor.finish()
    if sparse {
      let file = try Files.open(scratch.path + "/tree/holes", flags: O_WRONLY | O_CREAT, mode: 0o600)
      for offset in [5 << 20, 9 << 20, 30 << 20] as [Int64] {
        try Array("data".utf8).withBytes { (bytes) throws(ApusError) in
          try FileWriter.write(bytes, to: file.raw, at: offset, name: "a file")
        }
      }
      #expect(ftruncate(file.raw, 40 << 20) == 0)
    }
    return root
  }

  @Test(
    .enabled(if: isRoot && access("/usr/bin/tar", X_OK) == 0, "needs root and GNU tar"),
    arguments: [
      "--format=gnu", "--format=oldgnu --sparse", "--format=gnu --sparse",
      "--format=posix --xattrs --xattrs-include='*'",
      "--format=posix --sparse --sparse-version=0.0", "--format=posix --sparse --sparse-version=0.1",
      "--format=posix --sparse --sparse-version=1.0",
    ])
  func archivesOfGNUTar(options: String) throws {
    let scratch = try Scratch()
    let root = try makeTree(scratch, sparse: options.contains("sparse"))
    try #require(run("tar \(options) --numeric-owner -C \(scratch.path)/tree -cf \(scratch.path)/tar .") == 0)
    try convert(try Files.read(scratch.path + "/tar", limit: 1 << 28), to: scratch.path + "/image")
    if fsckIsThere { #expect(run("fsck.erofs \(scratch.path)/image") == 0) }
    try withMounted(scratch.path + "/image", at: scratch.path + "/mount") { mounted in
      // GNU tar writes devices with several names several times.
      let result = try differences(root.raw, mounted, attributes: options.contains("xattrs"), deviceLinks: false)
      #expect(result == [])
    }
  }

  @Test(.enabled(if: isRoot && access("/usr/bin/tar", X_OK) == 0, "needs root and GNU tar"))
  func gnuTarReadsOurs() throws {
    let scratch = try Scratch()
    let root = try makeTree(scratch, sparse: false)
    let archive = try Tree.layerTar(upper: root.raw)
    var bytes: [UInt8] = []
    while let piece = try archive.read() { bytes += piece }
    try Files.writeAtomically(bytes, to: scratch.path + "/tar")
    try Files.makeDirectory(scratch.path + "/out")
    let options = "--numeric-owner --xattrs --xattrs-include='*' -p"
    try #require(run("tar \(options) -C \(scratch.path)/out -xf \(scratch.path)/tar") == 0)
    let out = try scratch.open("out")
    #expect(try differences(root.raw, out.raw) == [])
  }
}

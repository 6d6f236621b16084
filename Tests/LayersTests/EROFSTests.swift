import Errors
import Glibc
import Linux
import Testing

@testable import Layers

@Suite struct EROFSTests {
  @Test func sameArchiveSameBytes() throws {
    let scratch = try Scratch()
    let tree = RandomTree(seed: 5, size: 200, sparse: true)
    try convert(tree.archive, to: scratch.path + "/a", seed: 1)
    try convert(tree.archive, to: scratch.path + "/b", seed: 2)
    #expect(try Files.read(scratch.path + "/a", limit: 1 << 28) == Files.read(scratch.path + "/b", limit: 1 << 28))
  }
}

@Suite struct LayerStoresTests {
  @Test func theFormIsProbed() throws {
    let scratch = try Scratch()
    let content = try ContentStore(root: scratch.path + "/content")
    func open(_ form: LayerStores.Form?) throws -> any LayerStore {
      try LayerStores.open(
        root: scratch.path + "/layers", runDirectory: scratch.path + "/run", content: content, form: form)
    }
    #expect(try open(.directories) is DirectoryLayerStore)
    #expect(try open(.erofs) is EROFSLayerStore)
    let form = LayerStores.probe(root: scratch.path)
    #expect(try open(nil) is EROFSLayerStore == (form == .erofs))
    // The probe leaves nothing.
    let opened = try scratch.open()
    #expect(try TreeStep.list(opened.raw).map(\.text) == ["content", "layers", "run"])
  }
}

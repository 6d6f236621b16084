import Errors
import FoundationEssentials
import Glibc
import ImageSpec
import Layers
import Testing

@testable import Engine

/// What a stop at the wrong moment leaves, and what is collected when.
@Suite struct ImagesSurvivalTests {
  private func root(_ text: String) -> [UInt8] { tar([("text", text)]) }

  @Test func forgetsImagesOfWhichAPartIsGone() async throws {
    try await withImageStore { store in
      var images: [String: Image] = [:]
      for name in ["config", "manifest", "layer", "blob", "both", "whole"] {
        images[name] = try await store.service.importTar(stream(root(name)), reference: "\(name):1")
      }
      func image(_ name: String) throws -> Image { try #require(images[name]) }
      try store.content.remove(image("config").id)
      try store.content.remove(image("manifest").manifestDigest)
      for name in ["layer", "both"] { try store.layers.remove(image(name).layers[0]) }
      for name in ["blob", "both"] { try store.content.remove(image(name).manifest.layers[0].digest) }

      let next = try store.reopened()
      #expect(try await next.list().flatMap(\.references).sorted() == ["blob:1", "layer:1", "whole:1"])
      // A layer file is made again of its blob when it is needed.
      let layer = try image("layer").layers[0]
      #expect(!store.layers.contains(layer))
      try await next.restoreLayers([layer])
      #expect(store.layers.contains(layer))
      // An image without a blob runs, but cannot be sent anywhere.
      try await next.restoreLayers(image("blob").layers)
      await #expect(throws: ApusError.self) { _ = try await next.save(["blob:1"]) }
      let error = await #expect(throws: ApusError.self) { try await next.restoreLayers(image("both").layers) }
      #expect(error?.message.contains("pull its image again") == true)
      #expect(try await next.collectGarbage() > 0)
    }
  }

  @Test func flushesInTheBackground() async throws {
    try await withImageStore { store in
      try await store.service.importTar(stream(root("x")), reference: "x:1")
      try store.service.synchronize()
      let marks = try Command.run(["find", store.root, "-path", "*unsynced*", "-type", "f"])
      #expect(marks.isEmpty)
    }
  }

  @Test func collectsWhatBelongsToNoImageByAgeAndSize() async throws {
    var settings = ImageSettings()
    settings.collection.orphanAge = .seconds(3600)
    settings.collection.orphanSize = 3000
    try await withImageStore(settings: settings) { store in
      func orphan(_ text: String, age: Int) throws -> Digest {
        let digest = try store.content.write(Array(String(repeating: text, count: 1000).utf8))
        var times = [timespec(tv_sec: time(nil) - age, tv_nsec: 0), timespec(tv_sec: time(nil) - age, tv_nsec: 0)]
        utimensat(AT_FDCWD, store.content.path(for: digest), &times, 0)
        return digest
      }
      let kept = try await store.service.importTar(stream(root("kept")), reference: "kept:1")
      let old = try orphan("a", age: 7200)
      let older = try orphan("b", age: 1200)
      let held = try orphan("c", age: 7200)
      let young = try ["d", "e", "f"].enumerated().map { try orphan($1, age: 60 * (3 - $0)) }
      let hold = ContentHold([held], owner: store.service)
      #expect(try await store.service.applyCollectionPolicy() >= 2000)
      #expect(!store.content.contains(old), "too old")
      #expect(!store.content.contains(older), "too much, and the oldest")
      #expect(store.content.contains(held))
      #expect(store.content.contains(young[2]), "the youngest")
      #expect(store.content.contains(kept.id))
      hold.release()
      for _ in 0..<200 where store.content.contains(held) { try await Task.sleep(for: .milliseconds(10)) }
      #expect(!store.content.contains(held), "collected when nobody holds it any more")
    }
  }

  @Test func givesUpImagesOnlyWhenToldTo() async throws {
    var settings = ImageSettings()
    settings.collection.unusedImageSize = 0
    for (policy, left) in [(ImageSettings(), ["a:1", "b:1", "c:1"]), (settings, ["b:1"])] {
      try await withImageStore(settings: policy) { store in
        var images: [Image] = []
        for name in ["a", "b", "c"] {
          images.append(try await store.service.importTar(stream(root(name)), reference: "\(name):1"))
        }
        let used = images[1]
        store.uses.withLock {
          $0 = [
            ImageUse(
              instanceID: String(repeating: "c", count: 64), image: used.id, layers: used.layers, isRunning: false)
          ]
        }
        _ = try await store.service.applyCollectionPolicy()
        #expect(try await store.service.list().flatMap(\.references).sorted() == left)
        for layer in used.layers { #expect(store.layers.contains(layer)) }
      }
    }
  }

  @Test func tellsTheTruthAboutTheDisk() async throws {
    try await withImageStore { store in
      let base = try await store.service.importTar(
        stream(tar([("big", String(repeating: "0123456789", count: 50_000))])), reference: "base:1")
      let hold = store.service.holdEverything()
      let ingest = try LayerIngest(store: store.layers, keepBlob: true, compressTo: .gzip)
      try root("top").withUnsafeBytes { try ingest.write($0) }
      try await store.service.commitImage(
        ImageCommit(base: base, layer: ingest.finish(), reference: "top:1"))
      hold.release()
      try store.content.write(Array(String(repeating: "x", count: 10_000).utf8))
      let usage = try await store.service.diskUsage()
      let files = try Command.run([
        "find", store.root + "/content", store.root + "/layers", "-type", "f", "-size", "+0", "-printf", "%s\n",
      ])
      #expect(usage.stored == files.split(separator: "\n").reduce(Int64(0)) { $0 + (Int64($1) ?? 0) })
      #expect(usage.reclaimable == usage.stored)
      let sizes = Dictionary(uniqueKeysWithValues: usage.images.map { ($0.image.references[0], $0) })
      let shared = store.layers.size(of: base.layers[0]).map { $0 + base.manifest.layers[0].size }
      #expect(sizes["base:1"]?.sharedSize == shared && sizes["top:1"]?.sharedSize == shared)
      let unique = usage.images.reduce(Int64(0)) { $0 + $1.uniqueSize }
      #expect(usage.stored == unique + (shared ?? 0) + 10_000)
      // In use, it is not to be had.
      store.uses.withLock {
        $0 = [ImageUse(instanceID: "c", image: base.id, layers: base.layers, isRunning: true)]
      }
      let used = try await store.service.diskUsage()
      #expect(used.reclaimable == (sizes["top:1"]?.uniqueSize ?? 0) + 10_000)
    }
  }
}

/// Downloads that are taken up again.
@Suite(.enabled(if: LocalRegistry.isAvailable)) struct ImagesResumeTests {
  @Test(arguments: [false, true])
  func goesOnWhereItEnded(damaged: Bool) async throws {
    let registry = try await LocalRegistry()
    defer { registry.stop() }
    try await withImageStore { store in
      let name = "\(registry.domain)/team/app:1"
      var text = ""
      for number in 0..<300_000 { text += "\(number &* 2_654_435_761) " }
      let made = try await store.service.importTar(stream(tar([("big", text)]), piece: 1 << 20), reference: name)
      try await drain(store.service.push(name))
      let layer = made.manifest.layers[0]
      let bytes = try store.content.read(layer.digest, limit: 64 << 20)
      try await withImageStore { other in
        // What a killed daemon leaves: the first two thirds.
        var part = Array(bytes.prefix(bytes.count * 2 / 3))
        if damaged { part[part.count / 2] ^= 0x55 }
        func leave() throws {
          let writer = try BlobWriter(store: other.content, resuming: layer)
          try part.withUnsafeBytes { try writer.write($0) }
          writer.suspend()
        }
        try leave()
        #expect(try other.content.partials().map(\.digest) == [layer.digest])
        let progress = try await drain(other.service.pull(name))
        #expect(progress.last?.image == made.id)
        let first = try #require(progress.first { $0.status == "Downloading" }?.current)
        #expect(first > part.count)
        #expect(try other.content.partials().isEmpty)
        #expect(try other.content.read(layer.digest, limit: 64 << 20) == bytes)
      }
    }
  }
}

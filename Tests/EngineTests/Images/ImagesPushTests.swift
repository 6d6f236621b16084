import Errors
import FoundationEssentials
import ImageSpec
import Registry
import Testing

@testable import Engine

/// Pushes to Debian's registry, and what a name stands for on its way through this store.
@Suite(.enabled(if: LocalRegistry.isAvailable)) struct ImagesPushTests {
  private func skopeo(_ arguments: [String]) throws {
    try Command.run(["skopeo", "--insecure-policy"] + arguments)
  }

  private func digest(_ name: String) throws -> Digest {
    let raw = try Command.run(["skopeo", "inspect", "--raw", "--tls-verify=false", "docker://\(name)"])
    return ContentDigest.sha256(Array(raw.utf8.dropLast()))
  }

  private func withBoth(_ body: (LocalRegistry, ImageStore) async throws -> Void) async throws {
    let registry = try await LocalRegistry()
    defer { registry.stop() }
    try await withImageStore { try await body(registry, $0) }
  }

  @Test func pushesWhatItMade() async throws {
    try await withBoth { registry, store in
      let root = tar([("etc/name", "x"), ("bin/big", String(repeating: "0123456789abcdef", count: 100_000))])
      let name = "\(registry.domain)/team/app:1"
      let image = try await store.service.importTar(stream(root), reference: name)
      let progress = try await drain(store.service.push(name))
      #expect(progress.first?.status == "The push refers to repository [\(registry.domain)/team/app]")
      #expect(progress.filter { $0.status == "Pushed" }.map(\.id) == [image.layers[0].short])
      let pushed = progress.last?.pushed
      #expect(pushed?.tag == "1" && pushed?.digest == image.manifestDigest)
      #expect(try digest(name) == image.manifestDigest)
      #expect(
        try await store.service.resolve(name).repoDigests == ["\(registry.domain)/team/app@\(image.manifestDigest)"])

      // Again, and under another name: nothing is sent.
      let again = try await drain(store.service.push(name))
      #expect(again.contains { $0.status == "Layer already exists" })
      try await store.service.tag(name, as: "\(registry.domain)/other/app:2")
      let mounted = try await drain(store.service.push("\(registry.domain)/other/app:2"))
      #expect(mounted.contains { $0.status == "Mounted from team/app" })
      // Pulled elsewhere it is the same image.
      try await withImageStore { other in
        try await drain(other.service.pull("\(registry.domain)/other/app:2"))
        #expect(try await other.service.resolve("\(registry.domain)/other/app:2").id == image.id)
      }
    }
  }

  @Test func saysWhatIsNotHere() async throws {
    try await withImageStore { store in
      try await store.service.importTar(stream(tar([("x", "y")])), reference: "127.0.0.1:1/x:1")
      for (name, words) in [
        ("none/here", "An image does not exist locally with the tag: none/here"),
        ("127.0.0.1:1/x:2", "tag does not exist: 127.0.0.1:1/x:2"), ("127.0.0.1:1/x:1", "connection refused"),
        ("x@sha256:" + String(repeating: "0", count: 64), "cannot push a digest reference"),
      ] {
        let error = await #expect(throws: ApusError.self) { try await drain(store.service.push(name)) }
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
      }
    }
  }

  /// The same configuration under manifests of two kinds, and through an index: each name keeps its own.
  @Test func keepsTheDigestOfEachName() async throws {
    try await withBoth { registry, store in
      try Layout.make(store.root + "/layout", layers: [[("etc/name", "base")], [("etc/name", "top")]])
      let names = ["oci", "v2s2"].map { "\(registry.domain)/team/app:\($0)" }
      for (name, format) in zip(names, ["oci", "v2s2"]) {
        try skopeo([
          "copy", "--dest-tls-verify=false", "--format", format, "oci:\(store.root)/layout:latest", "docker://\(name)",
        ])
      }
      for name in names { try await drain(store.service.pull(name)) }
      for name in names {
        let copy = name + "-again"
        try await store.service.tag(name, as: copy)
        try await drain(store.service.push(copy))
        #expect(try digest(copy) == digest(name))
      }
      let saved = try await collect(store.service.save(names))
      try await withImageStore { other in
        try await drain(other.service.load(from: stream(saved, piece: 1 << 20)))
        for name in names {
          let copy = name + "-loaded"
          try await other.service.tag(name, as: copy)
          try await drain(other.service.push(copy))
          #expect(try digest(copy) == digest(name))
        }
      }
    }
  }

  @Test func keepsIndexesWhole() async throws {
    try await withBoth { registry, store in
      let (index, archive) = try Layout.makeIndex(platforms: ["amd64", "arm64", "s390x"])
      let name = "\(registry.domain)/team/all:1"
      // The archive has it all: it is kept, saved, and pushed whole.
      try await drain(store.service.load(from: stream(archive, piece: 70_001)))
      try await store.service.tag("all:1", as: name)
      try await drain(store.service.push(name))
      #expect(try digest(name) == index)
      let saved = try await collect(store.service.save([name]))
      #expect(try store.items().count == 1 + 3 * 3 + 1, "index, manifests, configurations, blobs, and one layer file")

      try await withImageStore { other in
        try await drain(other.service.load(from: stream(saved, piece: 1 << 20)))
        #expect(try await other.service.resolve(name).platform == .host)
        try await other.service.tag(name, as: name + "-2")
        try await drain(other.service.push(name + "-2"))
        #expect(try digest(name + "-2") == index)
        _ = try await other.service.remove(name)
        #expect(try other.items().count == 11, "the second name has it still")
        _ = try await other.service.remove(name + "-2")
        #expect(try await other.settled([]).isEmpty)
      }
      // Pulled, one image of it is here; the index goes out where the rest is already.
      try await withImageStore { other in
        try await drain(other.service.pull(name))
        #expect(try await other.service.resolve(name).repoDigests == ["\(registry.domain)/team/all@\(index)"])
        try await other.service.tag(name, as: name + "-3")
        try await drain(other.service.push(name + "-3"))
        #expect(try digest(name + "-3") == index)
        let lone = "\(registry.domain)/team/lone:1"
        try await other.service.tag(name, as: lone)
        let progress = try await drain(other.service.push(lone))
        #expect(progress.contains { $0.pushedInstead?.index.digest == index })
        let own = try await other.service.resolve(name).manifestDigest
        #expect(try digest(lone) == own)
        // One platform of it, by choice.
        let error = await #expect(throws: ApusError.self) {
          try await drain(other.service.push(name, platform: "linux/s390x"))
        }
        #expect(error?.code == .notFound)
      }
      // A name that moves on leaves nothing of the index behind.
      _ = try await store.service.remove("all:1")
      try await store.service.importTar(stream(tar([("x", "y")])), reference: name)
      _ = try await store.service.prune()
      #expect(try await store.service.list().count == 1)
    }
  }

  @Test func pushesLists() async throws {
    try await withBoth { registry, store in
      var listed: [ListedManifest] = []
      for (architecture, text) in [("amd64", "a"), ("arm64", "b")] {
        let name = "\(registry.domain)/part/\(architecture):1"
        try await store.service.importTar(
          stream(tar([("text", text)])), reference: name, platform: "linux/\(architecture)")
        try await drain(store.service.push(name))
        let found = try await store.service.manifest(of: name)
        #expect(found.platform?.architecture == architecture)
        var descriptor = found.descriptor
        descriptor.platform = found.platform
        listed.append(ListedManifest(reference: found.reference, descriptor: descriptor, bytes: found.bytes))
      }
      let list = "\(registry.domain)/whole/app:1"
      let progress = try await drain(store.service.pushList(list, of: listed))
      #expect(try progress.last?.pushed?.digest == digest(list))
      let distribution = try await store.service.distribution(of: list)
      #expect(distribution.platforms.map(\.architecture) == ["amd64", "arm64"])
      try await withImageStore { other in
        try await drain(other.service.pull(list, platform: "linux/arm64"))
        #expect(try await other.service.resolve(list).platform.architecture == "arm64")
      }
      listed[0].reference = try Reference(parsing: "elsewhere.example/x:1")
      let error = await #expect(throws: ApusError.self) { try await drain(store.service.pushList(list, of: listed)) }
      #expect(error?.message.hasPrefix("cannot use source images from a different registry") == true)
    }
  }

  @Test func pullsEveryTag() async throws {
    try await withBoth { registry, store in
      let name = "\(registry.domain)/team/tags"
      for tag in ["a", "b"] {
        try await store.service.importTar(stream(tar([("text", tag)])), reference: "\(name):\(tag)")
      }
      try await drain(store.service.push(name, allTags: true))
      try await withImageStore { other in
        let progress = try await drain(other.service.pull(name, allTags: true))
        #expect(progress.filter(\.isTitle).map(\.id) == ["a", "b"])
        #expect(progress.last?.status == "Status: Downloaded newer image for \(name)")
        #expect(try await other.service.list().flatMap(\.references).sorted() == ["\(name):a", "\(name):b"])
      }
    }
  }
}

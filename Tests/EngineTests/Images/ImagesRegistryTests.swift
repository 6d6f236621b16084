import Errors
import FoundationEssentials
import ImageSpec
import NIOCore
import Registry
import Testing

@testable import Engine

private func skopeo(_ arguments: [String]) throws {
  try Command.run(["skopeo", "--insecure-policy"] + arguments)
}

/// Against Debian's registry and skopeo, where they are installed.
@Suite(.enabled(if: LocalRegistry.isAvailable)) struct ImagesRegistryTests {
  private let layers: [[(name: String, text: String)]] = [
    [("etc/name", "base"), ("bin/big", String(repeating: "0123456789abcdef", count: 200_000))],
    [("etc/name", "top"), ("etc/new", "x")],
  ]

  private func withRegistry(password: Bool = false, _ body: (LocalRegistry, ImageStore) async throws -> Void)
    async throws
  {
    let registry = try await LocalRegistry(password: password)
    defer { registry.stop() }
    try await withImageStore { store in
      try Layout.make(store.root + "/layout", layers: layers)
      try skopeo(
        ["copy", "--dest-tls-verify=false"] + (password ? ["--dest-creds", "user:s3cret"] : [])
          + ["oci:\(store.root)/layout:latest", "docker://\(registry.domain)/team/app:1"])
      try await body(registry, store)
    }
  }

  @Test func pulls() async throws {
    try await withRegistry { registry, store in
      let name = "\(registry.domain)/team/app:1"
      let progress = try await drain(store.service.pull(name))
      let image = try await store.service.resolve(name)
      #expect(progress.first?.id == "1" && progress.first?.status == "Pulling from team/app")
      #expect(progress.last == TransferProgress(status: "Status: Downloaded newer image for \(name)", image: image.id))
      #expect(progress.contains { $0.status == "Digest: \(image.manifestDigest)" })
      #expect(progress.filter { $0.status == "Pull complete" }.count == 2)
      #expect(image.layers.count == 2)
      #expect(image.config.config.cmd == ["sh"])
      #expect(image.references == [name])
      #expect(image.repoDigests == ["\(registry.domain)/team/app@\(image.manifestDigest)"])
      #expect(image.size == image.layerSizes.reduce(0, +) && image.size > 3_200_000)
      for layer in image.layers { #expect(store.layers.contains(layer)) }

      // Again: nothing is downloaded.
      let again = try await drain(store.service.pull(name))
      #expect(again.filter { $0.status == "Already exists" }.count == 2)
      #expect(again.last?.status == "Status: Image is up to date for \(name)")

      // By digest, and by every other way to name it.
      try await drain(store.service.pull("\(registry.domain)/team/app@\(image.manifestDigest)"))
      for text in [
        image.id.description, image.id.hex, String(image.id.hex.prefix(7)), "sha256:" + image.id.hex.prefix(5),
      ] {
        #expect(try await store.service.resolve(text).id == image.id)
      }
      let history = try await store.service.history(name)
      #expect(history.map(\.createdBy) == ["step 1", "step 0"])
      #expect(history[0].id == image.id)
      #expect(history.map(\.size) == image.layerSizes.reversed())
    }
  }

  @Test func leavesNothingAfterFailures() async throws {
    try await withRegistry { registry, store in
      for (name, platform, code, words) in [
        (
          "\(registry.domain)/team/app:2", nil, ErrorCode.notFound,
          "manifest for \(registry.domain)/team/app:2 not found"
        ),
        ("\(registry.domain)/team/app:1", "linux/s390x", .notFound, "does not match the specified platform"),
        ("\(registry.domain)/team/app:1", "linux/", .invalidArgument, "invalid platform"),
        ("127.0.0.1:1/x", nil, .unavailable, "connection refused"), ("UPPER/x", nil, .unavailable, "UPPER"),
      ] as [(String, String?, ErrorCode, String)] {
        let error = await #expect(throws: ApusError.self) {
          try await drain(store.service.pull(name, platform: platform))
        }
        #expect(error?.code == code, "\(error?.message ?? "")")
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
      }
      #expect(try await store.settled([]).isEmpty)
      // A registry whose blob is not what its manifest says.
      try Command.run([
        "bash", "-c",
        "for f in $(find \(registry.root)/data -path '*blobs*' -name data -size +4k); do printf y | dd of=$f bs=1 seek=100 conv=notrunc status=none; done",
      ])
      await #expect(throws: ApusError.self) { try await drain(store.service.pull("\(registry.domain)/team/app:1")) }
      #expect(try await store.settled([]).isEmpty)
    }
  }

  @Test func asksForCredentials() async throws {
    try await withRegistry(password: true) { registry, store in
      let name = "\(registry.domain)/team/app:1"
      let error = await #expect(throws: ApusError.self) { try await drain(store.service.pull(name)) }
      #expect(error?.message.hasPrefix("pull access denied for \(registry.domain)/team/app") == true)
      let wrong = await #expect(throws: ApusError.self) {
        try await drain(store.service.pull(name, credentials: RegistryCredentials(username: "user", password: "no")))
      }
      #expect(wrong?.code == .permissionDenied)
      try await drain(store.service.pull(name, credentials: LocalRegistry.credentials))
      #expect(try await store.service.list().count == 1)
    }
  }

  @Test func sharesDownloads() async throws {
    try await withRegistry { registry, store in
      let name = "\(registry.domain)/team/app:1"
      let results = try await withThrowingTaskGroup(of: [TransferProgress].self) { group in
        for _ in 0..<8 { group.addTask { try await drain(store.service.pull(name)) } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(results.count == 8)
      #expect(try store.items().count == 6)
      // One of two that want the same gives up; the other gets it.
      _ = try await store.service.remove(name)
      #expect(try await store.settled([]).isEmpty)
      let first = Task { try await drain(store.service.pull(name)) }
      let second = Task { try await drain(store.service.pull(name)) }
      first.cancel()
      _ = await first.result
      #expect(try await second.value.last?.image != nil)
      #expect(try store.items().count == 6)
    }
  }

  @Test func goesOnWithWhatIsThere() async throws {
    try await withRegistry { registry, store in
      let name = "\(registry.domain)/team/app:1"
      try await drain(store.service.pull(name))
      let image = try await store.service.resolve(name)
      let complete = try store.items()
      // A layer file that is missing is made of its blob; a damaged blob is downloaded again.
      try store.layers.remove(image.layers[0])
      let converted = try await drain(store.service.pull(name))
      #expect(converted.filter { $0.status == "Already exists" }.count == 2)
      try store.layers.remove(image.layers[0])
      let path = store.content.path(for: image.manifest.layers[0].digest)
      try Command.run(["sh", "-c", "printf x | dd of=\(path) bs=1 seek=2000 conv=notrunc status=none"])
      let repaired = try await drain(store.service.pull(name))
      #expect(repaired.filter { $0.status == "Already exists" }.count == 1)
      #expect(repaired.filter { $0.status == "Pull complete" }.count == 1)
      #expect(try store.items() == complete)
    }
  }

  @Test func storesSharedLayersOnce() async throws {
    try await withRegistry { registry, store in
      try Layout.make(store.root + "/other", layers: [layers[0], [("other", "y")]])
      try skopeo([
        "copy", "--dest-tls-verify=false", "oci:\(store.root)/other:latest", "docker://\(registry.domain)/other:1",
      ])
      try await drain(store.service.pull("\(registry.domain)/team/app:1"))
      let progress = try await drain(store.service.pull("\(registry.domain)/other:1"))
      #expect(progress.filter { $0.status == "Already exists" }.count == 1)
      #expect(progress.filter { $0.status == "Pull complete" }.count == 1)
      let usage = try await store.service.diskUsage()
      #expect(usage.images.count == 2)
      #expect(usage.images.allSatisfy { $0.sharedSize > 3_200_000 && $0.uniqueSize < 10_000 })
      // The base stays while one image has it.
      _ = try await store.service.remove("\(registry.domain)/team/app:1")
      let base = try await store.service.resolve("\(registry.domain)/other:1").layers[0]
      #expect(store.layers.contains(base))
      _ = try await store.service.remove("\(registry.domain)/other:1")
      #expect(try await store.settled([]).isEmpty)
    }
  }

  @Test func savesForSkopeoAndLoadsFromIt() async throws {
    try await withRegistry { registry, store in
      let name = "\(registry.domain)/team/app:1"
      try await drain(store.service.pull(name))
      let image = try await store.service.resolve(name)
      let archive = try await collect(store.service.save([name]))
      let path = store.root + "/saved.tar"
      try Data(archive).write(to: URL(filePath: path))

      // skopeo reads it as either kind; the layout's digests are the registry's.
      try skopeo(["copy", "oci-archive:\(path):1", "oci:\(store.root)/back:x"])
      let inspected = try Command.run(["skopeo", "inspect", "--raw", "oci:\(store.root)/back:x"])
      #expect(ContentDigest.sha256(Array(inspected.utf8.dropLast())) == image.manifestDigest)
      try skopeo(["copy", "docker-archive:\(path):\(name)", "dir:\(store.root)/dir"])

      // Every kind of archive that skopeo writes is the same image here.
      for (kind, form) in [
        ("docker", "docker-archive:\(store.root)/d.tar:\(name)"), ("oci", "oci-archive:\(store.root)/o.tar:\(name)"),
      ] {
        try skopeo(["copy", "--src-tls-verify=false", "docker://\(name)", form])
        for compression in ["cat", "gzip -1", "zstd -q -c"]
        where Command.exists(String(compression.prefix { $0 != " " })) {
          let file = "\(store.root)/\(kind.prefix(1)).tar"
          try Command.run(["sh", "-c", "\(compression) < \(file) > \(file).c"])
          try await withImageStore { other in
            let progress = try await drain(other.service.load(from: stream(Layout.bytes(file + ".c"), piece: 70_001)))
            #expect(progress.last?.loaded == name)
            let loaded = try await other.service.resolve(name)
            #expect(loaded.layers == image.layers)
            #expect(loaded.size == image.size)
            if kind == "oci" { #expect(loaded.manifestDigest == image.manifestDigest && loaded.id == image.id) }
            // Nothing but the image: manifest, configuration, two blobs, two layers.
            try await Task.sleep(for: .milliseconds(200))
            #expect(try other.items().count == 6)
            // And saved again it is loaded again, with the same digests.
            let saved = try await collect(other.service.save([name]))
            try await withImageStore { third in
              try await drain(third.service.load(from: stream(saved, piece: 1 << 20)))
              #expect(try await third.service.resolve(name).manifestDigest == loaded.manifestDigest)
            }
          }
        }
      }
      #expect(try await collect(store.service.save([name])) == archive, "the same image gives the same archive")
    }
  }
}

import Errors
import FoundationEssentials
import ImageSpec
import Layers
import NIOCore
import Testing

@testable import Engine

private struct Broken: Error {}

@Suite struct ImagesServiceTests {
  private let root = tar([("etc/passwd", "root:x:0:0::/root:/bin/sh\n")])

  @Test func importsWithChanges() async throws {
    try await withImageStore { store in
      let image = try await store.service.importTar(
        stream(root), reference: "mine",
        changes: ["CMD [\"sh\", \"-c\", \"true\"]", "ENV A=1 B=\"2 3\"", "WORKDIR /w", "LABEL x=y"], message: "why")
      #expect(image.references == ["mine:latest"])
      #expect(image.config.config.cmd == ["sh", "-c", "true"])
      #expect(image.config.config.env?.suffix(2) == ["A=1", "B=2 3"])
      #expect(image.config.config.workingDir == "/w")
      #expect(image.config.config.labels == ["x": "y"])
      #expect(image.layers == [ContentDigest.sha256(root)])
      #expect(image.size == Int64(root.count))
      #expect(image.config.history.map(\.comment) == ["why"])
      #expect(image.manifest.layers[0].mediaType == MediaType.layerGzip)
      #expect(store.events.withLock { $0.map(\.action) } == ["import"])
    }
  }

  @Test(arguments: ["gzip -n", "zstd -q -c", "xz", "bzip2"])
  func importsAnyCompression(program: String) async throws {
    guard Command.exists(String(program.prefix { $0 != " " })) else { return }
    try await withImageStore { store in
      let path = store.root + "/t"
      try Data(root).write(to: URL(filePath: path))
      try Command.run(["sh", "-c", "\(program) < \(path) > \(path).c"])
      let image = try await store.service.importTar(stream(Layout.bytes(path + ".c"), piece: 7))
      #expect(image.layers == [ContentDigest.sha256(root)])
      #expect(image.isDangling)
      // Cut off in the middle.
      let error = await #expect(throws: ApusError.self) {
        try await store.service.importTar(stream(Layout.bytes(path + ".c").dropLast(9).map { $0 }))
      }
      #expect(error?.code == .invalidArgument, "\(error?.message ?? "")")
    }
  }

  @Test func leavesNothingAfterFailures() async throws {
    try await withImageStore { (store: ImageStore) async throws in
      for (bytes, reference, change) in [
        (Array("no archive at all".utf8), "x", ""), (root.dropLast(1500).map { $0 }, "x", ""), (root, "Bad:Name:x", ""),
        (root, "x", "RUN rm"), (root, "x", "EXPOSE 99999"),
      ] {
        await #expect(throws: ApusError.self) {
          try await store.service.importTar(stream(bytes), reference: reference, changes: [change])
        }
      }
      let broken = ByteStream { (continuation: ByteStream.Continuation) in
        continuation.yield(ByteBuffer(bytes: root.prefix(600)))
        continuation.finish(throwing: Broken())
      }
      await #expect(throws: Broken.self) { try await store.service.importTar(broken) }
      await #expect(throws: ApusError.self) { try await drain(store.service.load(from: stream(root))) }
      #expect(try await store.settled([]).isEmpty)
      #expect(try Command.run(["find", store.root, "-type", "f"]).isEmpty)
    }
  }

  @Test func findsImages() async throws {
    try await withImageStore { store in
      let image = try await store.service.importTar(stream(root), reference: "docker.io/library/mine:1")
      for text in ["mine:1", "library/mine:1", "docker.io/library/mine:1", String(image.id.hex.prefix(3))] {
        #expect(try await store.service.resolve(text).id == image.id)
      }
      for (text, message) in [
        ("mine", "No such image: mine:latest"), ("none:x", "No such image: none:x"),
        ("sha256:" + String(repeating: "0", count: 64), "No such image: sha256:" + String(repeating: "0", count: 64)),
        (String(repeating: "0", count: 64), "No such image: " + String(repeating: "0", count: 64)),
        ("Mine", "invalid reference format: repository name (library/Mine) must be lowercase"),
        ("", "invalid reference format"),
      ] {
        let error = await #expect(throws: ApusError.self) { try await store.service.resolve(text) }
        #expect(error?.message == message)
      }
    }
  }

  @Test func tagsAndMoves() async throws {
    try await withImageStore { store in
      let first = try await store.service.importTar(stream(root), reference: "a:1")
      try await store.service.tag("a:1", as: "example.com/b")
      #expect(try await store.service.resolve("example.com/b:latest").references == ["a:1", "example.com/b:latest"])
      let second = try await store.service.importTar(stream(tar([("other", "x")])), reference: "a:1")
      #expect(try await store.service.resolve("a:1").id == second.id)
      #expect(try await store.service.resolve(first.id.description).references == ["example.com/b:latest"])
      #expect(try await store.service.list().map(\.id) == [second.id, first.id])
      await #expect(throws: ApusError.self) { try await store.service.tag("a:1", as: "x@\(first.id)") }
      await #expect(throws: ApusError.self) { try await store.service.tag("nothing", as: "x") }
    }
  }

  @Test func removes() async throws {
    try await withImageStore { store in
      let image = try await store.service.importTar(stream(root), reference: "a:1")
      try await store.service.tag("a:1", as: "a:2")
      #expect(try await store.service.remove("a:1") == [.untagged("a:1")])
      #expect(try await store.service.remove("a:2") == [.untagged("a:2"), .deleted(image.id)])
      #expect(try await store.settled([]).isEmpty)
      let error = await #expect(throws: ApusError.self) { try await store.service.remove("a:2") }
      #expect(error?.message == "No such image: a:2")
      #expect(store.events.withLock { $0.map(\.action) } == ["import", "tag", "untag", "untag", "delete"])
    }
  }

  @Test func refusesToRemoveWhatIsUsed() async throws {
    try await withImageStore { store in
      let image = try await store.service.importTar(stream(root), reference: "a:1")
      let short = image.id.short
      let instance = String(repeating: "c", count: 64)
      func use(running: Bool) {
        store.uses.withLock {
          $0 = [ImageUse(instanceID: instance, image: image.id, layers: image.layers, isRunning: running)]
        }
      }
      func refusal(_ text: String, force: Bool = false) async -> String? {
        let error = await #expect(throws: ApusError.self) { try await store.service.remove(text, force: force) }
        #expect(error?.code == .conflict)
        return error?.message
      }
      use(running: true)
      #expect(
        await refusal("a:1")
          == "conflict: unable to remove repository reference \"a:1\" (must force) - container cccccccccccc is using its "
          + "referenced image \(short)")
      #expect(
        await refusal(short, force: true)
          == "conflict: unable to delete \(short) (cannot be forced) - image is being used by running container cccccccccccc"
      )
      use(running: false)
      #expect(
        await refusal(short)
          == "conflict: unable to delete \(short) (must be forced) - image is being used by stopped container cccccccccccc"
      )
      try await store.service.tag("a:1", as: "b:1")
      #expect(
        await refusal(short)
          == "conflict: unable to delete \(short) (must be forced) - image is referenced in multiple repositories")
      #expect(try await store.service.resolve("a:1").references == ["a:1", "b:1"], "a refusal changes nothing")
      // By force the image goes, but not the layers that a stopped instance needs.
      let removals = try await store.service.removeAndCount(short, force: true).removals
      #expect(removals == [.untagged("a:1"), .untagged("b:1"), .deleted(image.id)])
      #expect(try store.items() == ["layer \(image.layers[0].short)"])
      #expect(try await store.service.collectGarbage() == 0)
      store.uses.withLock { $0 = [] }
      #expect(try await store.service.collectGarbage() > 0)
      #expect(try store.items().isEmpty)
    }
  }

  @Test func collectsNothingThatIsHeld() async throws {
    try await withImageStore { store in
      let image = try await store.service.importTar(stream(root), reference: "a:1")
      let other = try await store.service.importTar(stream(tar([("x", "y")])), reference: "b:1")
      let hold = ContentHold([image.layers[0]], owner: store.service)
      _ = try await store.service.removeAndCount("a:1", force: false)
      _ = try await store.service.removeAndCount("b:1", force: false)
      #expect(try store.items() == ["layer \(image.layers[0].short)"])
      #expect(!store.layers.contains(other.layers[0]))
      let everything = store.service.holdEverything()
      hold.release()
      try await Task.sleep(for: .milliseconds(50))
      #expect(try !store.items().isEmpty)
      everything.release()
      #expect(try await store.settled([]).isEmpty)
    }
  }

  @Test func prunes() async throws {
    try await withImageStore { store in
      try await store.service.importTar(stream(root))
      let named = try await store.service.importTar(stream(tar([("x", "y")])), reference: "a:1")
      let first = try await store.service.prune()
      #expect(first.removed.count == 1)
      #expect(first.reclaimed > 0)
      #expect(try await store.service.list().map(\.id) == [named.id])
      #expect(try await store.service.prune(all: true) { _ in false }.removed.isEmpty)
      #expect(try await store.service.prune(all: true).removed == [.untagged("a:1"), .deleted(named.id)])
      #expect(try await store.settled([]).isEmpty)
    }
  }

  @Test func commits() async throws {
    try await withImageStore { store in
      let base = try await store.service.importTar(
        stream(root), reference: "base", changes: ["CMD a", "ENTRYPOINT [\"e\"]"])
      let hold = store.service.holdEverything()
      let top = tar([("top", "x")])
      let ingest = try LayerIngest(store: store.layers, keepBlob: true, compressTo: .gzip)
      try top.withUnsafeBytes { try ingest.write($0) }
      var commit = ImageCommit(base: base, layer: try ingest.finish(), reference: "made:1")
      commit.changes = ["CMD [\"b\"]"]
      commit.author = "me"
      commit.comment = "said"
      let image = try await store.service.commitImage(commit)
      hold.release()
      #expect(image.layers == base.layers + [ContentDigest.sha256(top)])
      #expect(image.config.config.cmd == ["b"])
      #expect(image.config.config.entrypoint == ["e"])
      #expect(image.config.author == "me")
      #expect(try await store.service.history("made:1").map(\.comment) == ["said", "Imported from -"])
      // The base may go: the image on top of it has its layer still.
      _ = try await store.service.remove("base")
      #expect(store.layers.contains(base.layers[0]))
      #expect(try await collect(store.service.save(["made:1"])).count > 2000)
    }
  }

  @Test func savesSeveralAndRefusesUnknown() async throws {
    try await withImageStore { store in
      let image = try await store.service.importTar(stream(root), reference: "a:1")
      try await store.service.tag("a:1", as: "a:2")
      try await store.service.importTar(stream(tar([("x", "y")])), reference: "b:1")
      await #expect(throws: ApusError.self) { try await store.service.save(["a:1", "none"]) }
      await #expect(throws: ApusError.self) { try await store.service.save([]) }
      // A bare name is all its tags; an ID is no name.
      for (texts, loaded) in [
        (["a", "b:1"], ["a:1", "a:2", "b:1"]), ([image.id.short], [image.id.description]), (["a:2"], ["a:2"]),
      ] {
        let saved = try await collect(store.service.save(texts))
        try await withImageStore { other in
          let progress = try await drain(other.service.load(from: stream(saved)))
          #expect(progress.compactMap(\.loaded).sorted() == loaded)
        }
      }
    }
  }

  @Test func refusesBrokenArchives() async throws {
    let layer = tar([("x", "y")])
    let diffID = ContentDigest.sha256(layer)
    let config = """
      {"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["\(diffID)"]}}
      """
    let text = String(decoding: layer, as: UTF8.self)
    let manifest = #"[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l/layer.tar"]}]"#
    try await withImageStore { store in
      // The whole one, its manifest last, is fine: two names for one file, by a symbolic link.
      try await drain(
        store.service.load(
          from: stream(tar([("./l/layer.tar", text), ("c.json", config), ("manifest.json", manifest)]))))
      let image = try await store.service.resolve("x:1")
      #expect(image.id == ContentDigest.sha256(Array(config.utf8)))
      _ = try await store.service.remove("x:1")
      for files in [
        [("l/layer.tar", text), ("manifest.json", manifest)], [("c.json", config), ("manifest.json", manifest)],
        [("l/layer.tar", text + "x"), ("c.json", config), ("manifest.json", manifest)],
        [("l/layer.tar", text), ("c.json", "{}"), ("manifest.json", manifest)],
        [("manifest.json", "{}")], [("manifest.json", "[]")], [("repositories", "{}")], [],
        [("index.json", #"{"schemaVersion":2,"manifests":[]}"#)],
        [
          (
            "index.json",
            #"{"schemaVersion":2,"manifests":[{"mediaType":"\#(MediaType.manifest)","digest":"\#(diffID)","size":5}]}"#
          )
        ],
      ] as [[(name: String, text: String)]] {
        let error = await #expect(throws: ApusError.self) {
          try await drain(store.service.load(from: stream(tar(files))))
        }
        #expect(error?.code == .invalidArgument || error?.code == .unsupported, "\(error?.message ?? "")")
      }
      #expect(try await store.settled([]).isEmpty)
    }
  }
}

@Suite struct DockerfileChangesTests {
  private func applied(_ changes: String...) throws -> ImageConfiguration.Config {
    var config = ImageConfiguration.Config()
    config.env = ["PATH=/bin", "A=old"]
    config.cmd = ["old"]
    config.workingDir = "/base"
    try DockerfileChanges.apply(changes, to: &config)
    return config
  }

  @Test func appliesAll() throws {
    let config = try applied(
      "cmd echo hi", "ENV A=new C='x y' D=a\\ b", "ENV E the rest", "EXPOSE 80 53/udp 8000-8002", "LABEL a=b \"c d\"=e",
      "USER 1000:1000", "VOLUME /a /b", "VOLUME [\"/c d\"]", "WORKDIR sub", "WORKDIR ../x", "STOPSIGNAL SIGQUIT",
      "HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f http://x", "ONBUILD RUN true",
      "SHELL [\"/bin/bash\",\"-c\"]")
    #expect(config.cmd == ["/bin/sh", "-c", "echo hi"])
    #expect(config.env == ["PATH=/bin", "A=new", "C=x y", "D=a b", "E=the rest"])
    #expect(config.exposedPorts == ["53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"])
    #expect(config.labels == ["a": "b", "c d": "e"])
    #expect(config.user == "1000:1000")
    #expect(config.volumes == ["/a", "/b", "/c d"])
    #expect(config.workingDir == "/base/x")
    #expect(config.stopSignal == "SIGQUIT")
    #expect(config.healthcheck?.test == ["CMD-SHELL", "curl -f http://x"])
    #expect(config.healthcheck?.interval == 90_000_000_000)
    #expect(config.healthcheck?.retries == 3)
    #expect(config.onBuild == ["RUN true"])
    #expect(config.shell == ["/bin/bash", "-c"])
  }

  @Test func anEntrypointTakesTheOldCommandWithIt() throws {
    #expect(try applied("ENTRYPOINT [\"e\"]").cmd == nil)
    #expect(try applied("CMD [\"new\"]", "ENTRYPOINT [\"e\"]").cmd == ["new"])
    #expect(try applied("SHELL [\"/s\"]", "ENTRYPOINT x y").entrypoint == ["/s", "x y"])
  }

  @Test(arguments: [
    "RUN x", "CMD", "ENV novalue", "EXPOSE 0", "EXPOSE 1/foo", "EXPOSE 9-8", "HEALTHCHECK CMD",
    "HEALTHCHECK --interval=x NONE",
    "SHELL bash", "VOLUME [\"\"]", "ONBUILD ONBUILD RUN x", "LABEL =x", "FROM x",
  ])
  func refuses(change: String) {
    #expect(throws: ApusError.self) { try applied(change) }
  }
}

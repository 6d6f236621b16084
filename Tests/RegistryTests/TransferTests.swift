import Errors
import ImageSpec
import Synchronization
import Testing

@testable import Registry

private typealias Response = FakeRegistry.Response

/// Bytes of which each place is another.
private func content(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) } }

/// Answers a request for a range of `bytes`.
private func ranged(_ bytes: [UInt8], _ request: FakeRegistry.Request, cut: Int? = nil) -> FakeRegistry.Response {
  guard let header = request.headers["range"] else { return Response(200, body: bytes, cut: cut) }
  let ends = header.dropFirst(6).split(separator: "-").compactMap { Int($0) }
  let end = ends.count > 1 ? ends[1] + 1 : bytes.count
  return Response(
    206, headers: [("content-range", "bytes \(ends[0])-\(end - 1)/\(bytes.count)")], body: Array(bytes[ends[0]..<end]),
    cut: cut)
}

@Suite struct MirrorTests {
  @Test func asksMirrorsInOrderWithoutCredentials() async throws {
    let broken = try FakeRegistry { _ in Response(500) }
    let empty = try FakeRegistry { _ in Response(404) }
    let good = try FakeRegistry { _ in Response(200, text: manifestText) }
    defer { for mirror in [broken, empty, good] { mirror.stop() } }
    try await withRegistry(
      credentials: RegistryCredentials(username: "me", password: "pw"),
      mirrors: [
        .init(location: broken.domain), .init(location: empty.domain + "/deep"), .init(location: good.domain),
      ]
    ) { _ in
      Response(401, headers: [("www-authenticate", "Basic realm=\"r\"")])
    } run: { registry, client in
      _ = try await client.manifest(Reference(parsing: "\(registry.domain)/x:1"))
      #expect(broken.requests.count == 5)
      #expect(empty.requests.map(\.path) == ["/v2/deep/x/manifests/1"])
      #expect(good.requests.count == 1)
      #expect(registry.requests.isEmpty)
      // What could not answer is not asked again by the same client; what had nothing is.
      _ = try await client.manifest(Reference(parsing: "\(registry.domain)/y:1"))
      #expect(broken.requests.count == 5)
      #expect(empty.requests.count == 2)
      for request in broken.requests + empty.requests + good.requests {
        #expect(request.headers["authorization"] == nil)
      }
    }
  }

  @Test func tellsTheRegistrysFailure() async throws {
    let mirror = try FakeRegistry { _ in Response(404) }
    defer { mirror.stop() }
    try await withRegistry(mirrors: [.init(location: mirror.domain)]) { _ in
      Response(404)
    } run: { registry, client in
      let error = await #expect(throws: ApusError.self) {
        try await client.manifest(Reference(parsing: "\(registry.domain)/x:1"))
      }
      #expect(error?.message == "manifest for \(registry.domain)/x:1 not found: manifest unknown")
      #expect(mirror.requests.count == 1)
    }
  }

  @Test func goesOnAtTheNextPlaceInTheMiddleOfABlob() async throws {
    let bytes = content(300_000)
    let mirror = try FakeRegistry { request in
      request.headers["range"] == nil ? Response(200, body: bytes, cut: 100_000) : Response(503)
    }
    defer { mirror.stop() }
    try await withRegistry(mirrors: [.init(location: mirror.domain)]) { request in
      ranged(bytes, request)
    } run: { registry, client in
      let got = try await client.blob(blob(bytes), of: Reference(parsing: "\(registry.domain)/x:1"))
      #expect(got == bytes)
      #expect(registry.requests.last?.headers["range"]?.hasPrefix("bytes=") == true)
    }
  }
}

@Suite struct ParallelRangeTests {
  private func configure(_ configuration: inout RegistryConfiguration) {
    configuration.parallelThreshold = 100_000
    configuration.rangeSize = 64_000
  }

  @Test func downloadsSeveralRangesInOrder() async throws {
    let bytes = content(500_000)
    try await withRegistry(configure: configure) { request in
      ranged(bytes, request, cut: request.headers["range"] == "bytes=128000-191999" ? 1_000 : nil)
    } run: { registry, client in
      let got = try await client.blob(blob(bytes), of: Reference(parsing: "\(registry.domain)/x:1"))
      #expect(got == bytes)
      #expect(registry.requests.count >= 9)
      // The one that broke went on where it had come to.
      #expect(registry.requests.contains { $0.headers["range"]?.hasSuffix("-191999") == true })
    }
  }

  @Test func takesAllWhereThereAreNoRanges() async throws {
    let bytes = content(500_000)
    try await withRegistry(configure: configure) { _ in
      Response(200, body: bytes)
    } run: { registry, client in
      let got = try await client.blob(blob(bytes), of: Reference(parsing: "\(registry.domain)/x:1"))
      #expect(got == bytes)
      #expect(registry.requests.count == 1)
    }
  }

  @Test func failsAsAWhole() async throws {
    let bytes = content(500_000)
    try await withRegistry(configure: configure) { request in
      request.headers["range"] == "bytes=0-63999" ? ranged(bytes, request) : Response(404)
    } run: { registry, client in
      let error = await #expect(throws: ApusError.self) {
        try await client.blob(blob(bytes), of: Reference(parsing: "\(registry.domain)/x:1"))
      }
      #expect(error?.code == .notFound)
    }
  }
}

@Suite struct StallTests {
  /// On a busy machine more than the scripted stall takes a second.
  static func impatient(_ configuration: inout RegistryConfiguration) {
    configuration.readTimeout = 1
    configuration.retries = 60
  }

  /// Sends a third, and then nothing more.
  private func stalling(_ bytes: [UInt8], _ request: FakeRegistry.Request) -> FakeRegistry.Response {
    var response = ranged(bytes, request, cut: 100_000)
    response.stalls = true
    return response
  }

  @Test func goesOnWhereItStoodStill() async throws {
    let bytes = content(300_000)
    try await withRegistry(configure: Self.impatient) { request in
      request.headers["range"] == nil ? stalling(bytes, request) : ranged(bytes, request)
    } run: { registry, client in
      let got = try await client.blob(blob(bytes), of: Reference(parsing: "\(registry.domain)/x:1"))
      #expect(got == bytes)
      #expect(registry.requests.last?.headers["range"]?.hasPrefix("bytes=") == true)
    }
  }

  @Test func saysThatNothingMoved() async throws {
    let bytes = content(300_000)
    try await withRegistry(configure: {
      $0.readTimeout = 1
      $0.retries = 0
    }) { request in
      stalling(bytes, request)
    } run: { registry, client in
      let error = await #expect(throws: ApusError.self) {
        try await client.blob(blob(bytes), of: Reference(parsing: "\(registry.domain)/x:1"))
      }
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains("stood still for too long") == true)
    }
  }
}

@Suite struct UploadTests {
  /// A registry's side of uploads: what it has, and how often it was asked.
  private final class Uploads: Sendable {
    struct State {
      var bytes: [UInt8] = []
      var patches = 0
      var isDone = false
    }
    let state = Mutex(State())

    /// - Parameter trouble: answers a PATCH by its number instead of taking it; how much of it is kept.
    func answer(_ request: FakeRegistry.Request, trouble: (Int) -> (FakeRegistry.Response, Int)?)
      -> FakeRegistry.Response
    {
      state.withLock { state in
        func here(_ status: Int) -> FakeRegistry.Response {
          Response(status, headers: [("location", "/up/1?s=a"), ("range", "0-\(max(0, state.bytes.count - 1))")])
        }
        switch request.method {
        case "POST":
          state.bytes = []
          return here(202)
        case "PATCH":
          state.patches += 1
          if let (response, kept) = trouble(state.patches) {
            state.bytes += request.body.prefix(kept)
            return response
          }
          guard request.headers["content-range"]?.hasPrefix("\(state.bytes.count)-") == true else { return here(416) }
          state.bytes += request.body
          return here(202)
        case "GET": return here(204)
        case "PUT":
          state.bytes += request.body
          state.isDone = request.path.hasPrefix("/up/1?s=a&digest=sha256%3A")
          return Response(201)
        default: return Response(204)
        }
      }
    }
  }

  private func upload(
    _ count: Int, chunk: Int64 = 100_000, impatient: Bool = false,
    trouble: @escaping @Sendable (Int) -> (FakeRegistry.Response, Int)? = { _ in nil }
  ) async throws -> (Uploads.State, [FakeRegistry.Request]) {
    let bytes = content(count)
    let uploads = Uploads()
    let log = Mutex<[FakeRegistry.Request]>([])
    try await withRegistry(configure: {
      $0.monolithicLimit = 1_000
      $0.uploadChunk = chunk
      if impatient { StallTests.impatient(&$0) }
    }) { request in
      uploads.answer(request, trouble: trouble)
    } run: { registry, client in
      defer { log.withLock { $0 = registry.requests } }
      try await client.upload(blob(bytes), to: Reference(parsing: "\(registry.domain)/x:1"), from: .bytes(bytes))
      #expect(uploads.state.withLock { $0.bytes } == bytes)
    }
    return (uploads.state.withLock { $0 }, log.withLock { $0 })
  }

  @Test func sendsWhatIsSmallAtOnce() async throws {
    let (state, requests) = try await upload(900)
    #expect(state.isDone)
    #expect(requests.map(\.method) == ["POST", "PUT"])
    #expect(try await upload(0).1.map(\.method) == ["POST", "PUT"])
  }

  @Test func sendsChunks() async throws {
    let (state, requests) = try await upload(250_000)
    #expect(state.isDone)
    #expect(requests.compactMap { $0.headers["content-range"] } == ["0-99999", "100000-199999", "200000-249999"])
    #expect(requests.map(\.method) == ["POST", "PATCH", "PATCH", "PATCH", "PUT"])
  }

  @Test func goesOnWhereTheConnectionBroke() async throws {
    let (state, requests) = try await upload(250_000) { $0 == 2 ? (Response(0), 40_000) : nil }
    #expect(state.isDone)
    #expect(requests.compactMap { $0.headers["content-range"] }.contains("140000-239999"))
    #expect(requests.filter { $0.method == "GET" }.count == 1)
  }

  @Test(arguments: [500, 429, 404, 416])
  func triesAgain(status: Int) async throws {
    let (state, requests) = try await upload(250_000) { $0 == 2 ? (Response(status), 0) : nil }
    #expect(state.isDone)
    // What the registry has forgotten begins again, the rest goes on.
    #expect(requests.filter { $0.method == "POST" }.count == (status == 404 || status == 416 ? 2 : 1))
  }

  @Test func givesUpAndSaysWhy() async throws {
    for (status, code) in [(400, ErrorCode.invalidArgument), (403, .permissionDenied), (413, .resourceExhausted)] {
      let error = await #expect(throws: ApusError.self) { try await upload(250_000) { _ in (Response(status), 0) } }
      #expect(error?.code == code)
    }
    let error = await #expect(throws: ApusError.self) { try await upload(250_000) { _ in (Response(500), 0) } }
    #expect(error?.code == .unavailable)
  }

  @Test func getsANewTokenInTheMiddle() async throws {
    let uploads = Uploads()
    let bytes = content(250_000)
    let port = Mutex<UInt16>(0)
    let tokens = Mutex(0)
    try await withRegistry(
      credentials: RegistryCredentials(username: "me", password: "pw"),
      configure: {
        $0.monolithicLimit = 1_000
        $0.uploadChunk = 100_000
      }
    ) { request in
      if request.path.hasPrefix("/token") {
        let number = tokens.withLock { tokens in
          tokens += 1
          return tokens
        }
        return Response(200, text: #"{"token":"t\#(number)"}"#)
      }
      // The first token is not good any more when a chunk has come.
      let wanted = uploads.state.withLock { $0.bytes.isEmpty } ? "Bearer t1" : "Bearer t2"
      guard request.headers["authorization"] == wanted else {
        let realm = "http://127.0.0.1:\(port.withLock { $0 })/token"
        return Response(401, headers: [("www-authenticate", "Bearer realm=\"\(realm)\"")])
      }
      return uploads.answer(request) { _ in nil }
    } run: { registry, client in
      port.withLock { $0 = registry.port }
      try await client.upload(blob(bytes), to: Reference(parsing: "\(registry.domain)/x:1"), from: .bytes(bytes))
      #expect(uploads.state.withLock { $0.bytes } == bytes)
      #expect(tokens.withLock { $0 } == 2)
      // One that was asked for the first token, and the one that it opened.
      #expect(registry.requests.filter { $0.method == "POST" }.count == 2)
    }
  }

  @Test(arguments: [401, 403])
  func letsGoOfWhatIsRefusedInTheMiddle(status: Int) async throws {
    let uploads = Uploads()
    let bytes = content(250_000)
    try await withRegistry(
      credentials: RegistryCredentials(username: "me", password: "pw"),
      configure: {
        $0.monolithicLimit = 1_000
        $0.uploadChunk = 100_000
      }
    ) { request in
      uploads.answer(request) { $0 == 2 ? (Response(status), 0) : nil }
    } run: { registry, client in
      let error = await #expect(throws: ApusError.self) {
        try await client.upload(blob(bytes), to: Reference(parsing: "\(registry.domain)/x:1"), from: .bytes(bytes))
      }
      #expect(error?.code == .permissionDenied)
      #expect(error?.message.contains(status == 401 ? "credentials were not accepted" : "access is denied") == true)
      #expect(registry.requests.map(\.method) == ["POST", "PATCH", "PATCH", "DELETE"])
    }
  }

  @Test func letsGoWhenCancelled() async throws {
    let uploads = Uploads()
    let bytes = content(250_000)
    let (moments, moment) = AsyncStream<Void>.makeStream()
    try await withRegistry(configure: {
      $0.monolithicLimit = 1_000
      $0.uploadChunk = 100_000
    }) { request in
      uploads.answer(request) { number in
        guard number == 2 else { return nil }
        moment.yield()
        var response = Response(0)
        response.stalls = true
        return (response, 0)
      }
    } run: { registry, client in
      let reference = try Reference(parsing: "\(registry.domain)/x:1")
      let upload = Task { try await client.upload(blob(bytes), to: reference, from: .bytes(bytes)) }
      for await _ in moments { break }
      upload.cancel()
      await #expect(throws: CancellationError.self) { try await upload.value }
      #expect(registry.requests.map(\.method) == ["POST", "PATCH", "PATCH", "DELETE"])
    }
  }

  @Test func goesOnWhereTheRegistryStoodStill() async throws {
    let (state, requests) = try await upload(250_000, impatient: true) {
      guard $0 == 2 else { return nil }
      var response = Response(0)
      response.stalls = true
      return (response, 40_000)
    }
    #expect(state.isDone)
    #expect(requests.contains { $0.method == "GET" })
  }

  @Test func refusesASourceThatIsTooShort() async throws {
    let uploads = Uploads()
    try await withRegistry { request in
      uploads.answer(request) { _ in nil }
    } run: { registry, client in
      let error = await #expect(throws: ApusError.self) {
        try await client.upload(
          blob(content(5_000)), to: Reference(parsing: "\(registry.domain)/x:1"), from: .bytes(content(4_000)))
      }
      #expect(error?.code == .invalidArgument)
      #expect(error?.message.contains("fewer bytes") == true)
    }
  }

  @Test func asksForBothRepositoriesOfAMount() async throws {
    let port = Mutex<UInt16>(0)
    try await withRegistry(credentials: RegistryCredentials(username: "me", password: "pw")) { request in
      if request.path.hasPrefix("/token") { return Response(200, text: #"{"token":"abc"}"#) }
      guard request.headers["authorization"] == "Bearer abc" else {
        let realm = "http://127.0.0.1:\(port.withLock { $0 })/token"
        return Response(
          401, headers: [("www-authenticate", "Bearer realm=\"\(realm)\",scope=\"repository:b:pull,push\"")])
      }
      return Response(201)
    } run: { registry, client in
      port.withLock { $0 = registry.port }
      let (from, to) = (try Reference(parsing: "\(registry.domain)/a"), try Reference(parsing: "\(registry.domain)/b"))
      #expect(try await client.mount(blob([1]), from: from, to: to))
      #expect(
        registry.requests.contains {
          $0.path == "/token?scope=repository%3Ab%3Apull%2Cpush&scope=repository%3Aa%3Apull"
        })
    }
  }

  @Test func keepsTheListOfReferrersWhereTheRegistryDoesNot() async throws {
    let stored = Mutex<[String: [UInt8]]>([:])
    let subject = blob([1])
    let manifest = """
      {"schemaVersion":2,"mediaType":"\(MediaType.manifest)","artifactType":"application/x","annotations":{"a":"b"},\
      "config":{"mediaType":"\(MediaType.empty)","digest":"\(blob(Array("{}".utf8)).digest)","size":2},"layers":[],\
      "subject":{"mediaType":"\(MediaType.manifest)","digest":"\(subject.digest)","size":1}}
      """
    try await withRegistry { request in
      let name = request.path.split(separator: "/").last.map(String.init) ?? ""
      guard request.path.contains("/manifests/") else { return Response(404) }
      return stored.withLock { stored in
        if request.method == "PUT" {
          stored[name] = request.body
          return Response(201)
        }
        return stored[name].map { Response(200, headers: [("content-type", MediaType.index)], body: $0) }
          ?? Response(404)
      }
    } run: { registry, client in
      let reference = try Reference(parsing: "\(registry.domain)/x:1")
      let bytes = Array(manifest.utf8)
      for _ in 0..<2 { try await client.put(manifest: bytes, mediaType: MediaType.manifest, as: reference) }
      let found = try await client.referrers(of: reference.with(digest: subject.digest))
      #expect(found.map(\.digest) == [ContentHash.digest(of: bytes)])
      #expect(found.first?.artifactType == "application/x")
      #expect(found.first?.annotations == ["a": "b"])
      #expect(
        try await client.referrers(of: reference.with(digest: subject.digest), artifactType: "application/y").isEmpty)
      #expect(stored.withLock { $0.keys.contains("sha256-\(subject.digest.hex)") })
    }
  }
}

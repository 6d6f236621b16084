import Errors
import ImageSpec
import Logging
import Synchronization
import Testing

@testable import Registry

private typealias Response = FakeRegistry.Response

@Suite struct RegistryClientTests {
  @Test func getsManifestsByTagAndDigest() async throws {
    try await withRegistry { request in
      request.path.hasPrefix("/v2/a/b/manifests/")
        ? Response(200, headers: [("Content-Type", MediaType.manifest)], text: manifestText) : Response(404)
    } run: { registry, client in
      let reference = try Reference(parsing: "\(registry.domain)/a/b")
      let found = try await client.manifest(reference)
      #expect(found.bytes == Array(manifestText.utf8))
      #expect(registry.requests.last?.path == "/v2/a/b/manifests/latest")
      #expect(registry.requests.last?.headers["accept"]?.contains(MediaType.index) == true)
      _ = try await client.manifest(reference.with(digest: found.descriptor.digest))
      let other = ContentHash.digest(of: [1])
      let error = await #expect(throws: ApusError.self) { try await client.manifest(reference.with(digest: other)) }
      #expect(error?.code == .invalidArgument)
    }
  }

  @Test func choosesThePlatform() async throws {
    let arm = manifestText.replacing("\"layers\":[]", with: "\"layers\":[],\"annotations\":{\"x\":\"arm\"}")
    let digests = [manifestText, arm].map { ContentHash.digest(of: Array($0.utf8)) }
    let index = """
      {"schemaVersion":2,"manifests":[\
      {"mediaType":"\(MediaType.manifest)","digest":"\(digests[0])","size":1,"platform":{"os":"linux","architecture":"amd64"}},\
      {"mediaType":"\(MediaType.manifest)","digest":"\(digests[1])","size":1,"platform":{"os":"linux","architecture":"arm64"}}]}
      """
    try await withRegistry { request in
      if request.path.hasSuffix("/1") {
        return Response(200, headers: [("content-type", MediaType.index)], text: index)
      }
      if request.path.hasSuffix(digests[0].description) { return Response(200, text: manifestText) }
      if request.path.hasSuffix(digests[1].description) { return Response(200, text: arm) }
      return Response(404)
    } run: { registry, client in
      let reference = try Reference(parsing: "\(registry.domain)/x:1")
      let image = try await client.image(reference, platform: Platform(architecture: "arm64"))
      #expect(image.descriptor.digest == digests[1])
      #expect(image.named.digest == ContentHash.digest(of: Array(index.utf8)))
      let error = await #expect(throws: ApusError.self) {
        try await client.image(reference, platform: Platform(architecture: "s390x"))
      }
      #expect(error?.code == .notFound)
      #expect(error?.message.contains("linux/s390x") == true)
      #expect(error?.message.contains("linux/amd64, linux/arm64") == true)
    }
  }

  @Test func authenticatesWithTokens() async throws {
    let port = Mutex<UInt16>(0)
    try await withRegistry(credentials: RegistryCredentials(username: "me", password: "pw")) { request in
      if request.path.hasPrefix("/token") {
        guard request.headers["authorization"] == "Basic bWU6cHc=" else { return Response(401) }
        return Response(200, text: #"{"token":"abc","expires_in":300}"#)
      }
      guard request.headers["authorization"] == "Bearer abc" else {
        let realm = "http://127.0.0.1:\(port.withLock { $0 })/token"
        return Response(
          401, headers: [("WWW-Authenticate", "Bearer realm=\"\(realm)\",service=\"s x\",scope=\"repository:x:pull\"")])
      }
      return Response(200, text: manifestText)
    } run: { registry, client in
      port.withLock { $0 = registry.port }
      let reference = try Reference(parsing: "\(registry.domain)/x:1")
      _ = try await client.manifest(reference)
      _ = try await client.manifest(reference)
      let paths = registry.requests.map(\.path)
      // One challenge, one token, and then none any more.
      #expect(
        paths == [
          "/v2/x/manifests/1", "/token?service=s%20x&scope=repository%3Ax%3Apull", "/v2/x/manifests/1",
          "/v2/x/manifests/1",
        ])
    }
  }

  @Test func authenticatesBasically() async throws {
    let handler: @Sendable (FakeRegistry.Request) -> FakeRegistry.Response = { request in
      request.headers["authorization"] == "Basic bWU6cHc="
        ? Response(200, text: manifestText) : Response(401, headers: [("www-authenticate", "Basic realm=\"r\"")])
    }
    try await withRegistry(credentials: RegistryCredentials(username: "me", password: "pw"), answering: handler) {
      registry, client in
      _ = try await client.manifest(Reference(parsing: "\(registry.domain)/x:1"))
    }
    try await withRegistry(credentials: RegistryCredentials(username: "me", password: "no"), answering: handler) {
      registry, client in
      let error = await #expect(throws: ApusError.self) {
        try await client.manifest(Reference(parsing: "\(registry.domain)/x:1"))
      }
      #expect(error?.code == .permissionDenied)
      // The refused credentials are not tried again and again.
      #expect(registry.requests.count == 2)
    }
    try await withRegistry(answering: handler) { registry, client in
      let error = await #expect(throws: ApusError.self) {
        try await client.manifest(Reference(parsing: "\(registry.domain)/x:1"))
      }
      #expect(error?.code == .notFound)
      #expect(
        error?.message.hasPrefix("pull access denied for \(registry.domain)/x, repository does not exist") == true)
    }
  }

  @Test func keepsCredentialsFromOtherHosts() async throws {
    let bytes = Array("content".utf8)
    let storage = try FakeRegistry { _ in Response(200, body: bytes) }
    defer { storage.stop() }
    let target = storage.port
    try await withRegistry(credentials: RegistryCredentials(username: "me", password: "pw")) { request in
      guard request.headers["authorization"] != nil else {
        return Response(401, headers: [("www-authenticate", "Basic realm=\"r\"")])
      }
      return Response(307, headers: [("location", "http://127.0.0.1:\(target)/there?signature=x")])
    } run: { registry, client in
      let got = try await client.blob(blob(bytes), of: Reference(parsing: "\(registry.domain)/x:1"))
      #expect(got == bytes)
      #expect(registry.requests.last?.headers["authorization"] != nil)
      #expect(storage.requests.count == 1)
      #expect(storage.requests.last?.path == "/there?signature=x")
      #expect(storage.requests.last?.headers["authorization"] == nil)
    }
  }

  @Test func endsCircles() async throws {
    try await withRegistry {
      Response(302, headers: [("location", $0.path)])
    } run: { registry, client in
      let error = await #expect(throws: ApusError.self) {
        try await client.manifest(Reference(parsing: "\(registry.domain)/x:1"))
      }
      #expect(error?.message.contains("in circles") == true)
    }
  }

  @Test(arguments: [
    (403, ErrorCode.notFound, "pull access denied"), (404, .notFound, "not found: manifest unknown: nope"),
    (429, .resourceExhausted, "refuses more requests"), (500, .unavailable, "HTTP 500"),
    (503, .unavailable, "HTTP 503"),
    (418, .internal, "HTTP 418"),
  ])
  func explainsFailures(status: Int, code: ErrorCode, words: String) async throws {
    let body = #"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"nope\u001b[31m"}]}"#
    try await withRegistry { _ in
      Response(status, text: body)
    } run: { registry, client in
      let error = await #expect(throws: ApusError.self) {
        try await client.manifest(Reference(parsing: "\(registry.domain)/x:1"))
      }
      #expect(error?.code == code)
      #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
      #expect(error?.message.contains("\u{1b}") == false)
      // What may pass is tried again; a refusal is not.
      #expect(registry.requests.count == ([429, 500, 503].contains(status) ? 5 : 1))
    }
  }

  @Test func waitsAsTold() async throws {
    let count = Mutex(0)
    try await withRegistry { _ in
      let first = count.withLock { count in
        count += 1
        return count == 1
      }
      return first ? Response(429, headers: [("retry-after", "1")]) : Response(200, text: manifestText)
    } run: { registry, client in
      let start = ContinuousClock.now
      _ = try await client.manifest(Reference(parsing: "\(registry.domain)/x:1"))
      #expect(ContinuousClock.now - start >= .seconds(1))
    }
    try await withRegistry { _ in
      Response(429, headers: [("retry-after", "3600")])
    } run: { registry, client in
      await #expect(throws: ApusError.self) { try await client.manifest(Reference(parsing: "\(registry.domain)/x:1")) }
      #expect(registry.requests.count == 1)
    }
  }

  @Test func refusesTooMuch() async throws {
    try await withRegistry(manifestLimit: 1000) { _ in
      Response(200, body: [UInt8](repeating: 0x20, count: 5000))
    } run: { registry, client in
      let error = await #expect(throws: ApusError.self) {
        try await client.manifest(Reference(parsing: "\(registry.domain)/x:1"))
      }
      #expect(error?.message.contains("more than 1000 bytes") == true)
    }
  }

  @Test(arguments: [true, false])
  func goesOnWhereTheConnectionBroke(ranges: Bool) async throws {
    let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
    try await withRegistry { request in
      guard let range = request.headers["range"], let start = Int(range.dropFirst(6).dropLast()) else {
        return Response(200, body: bytes, cut: 100_000)
      }
      guard ranges else { return Response(200, body: bytes) }
      return Response(
        206, headers: [("content-range", "bytes \(start)-\(bytes.count - 1)/\(bytes.count)")],
        body: Array(bytes[start...]),
        cut: start < 200_000 ? 120_000 : nil)
    } run: { registry, client in
      let got = try await client.blob(blob(bytes), of: Reference(parsing: "\(registry.domain)/x:1"))
      #expect(got == bytes)
      // What was under way when the connection broke may be lost, and asked for again.
      #expect(registry.requests.count >= (ranges ? 3 : 2))
    }
  }

  @Test func refusesWrongBlobs() async throws {
    let bytes = Array("right content".utf8)
    for (answer, words) in [
      (Array("wrong content".utf8), "does not match its digest"), (bytes + [0], "more bytes"),
      (Array(bytes.dropLast()), "sent only 12 of 13 bytes"),
    ] {
      try await withRegistry { _ in
        Response(200, body: answer)
      } run: { registry, client in
        let error = await #expect(throws: ApusError.self) {
          try await client.blob(blob(bytes), of: Reference(parsing: "\(registry.domain)/x:1"))
        }
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
      }
    }
  }

  @Test func saysThatNobodyIsThere() async throws {
    let registry = try FakeRegistry { _ in Response(200) }
    let domain = registry.domain
    registry.stop()
    let client = RegistryClient(domain: domain, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let error = await #expect(throws: ApusError.self) { try await client.manifest(Reference(parsing: "\(domain)/x:1")) }
    #expect(error?.code == .unavailable)
    #expect(error?.message == "cannot get \(domain)/x:1 from \(domain): connection refused")
    await client.shutdown()
  }
}

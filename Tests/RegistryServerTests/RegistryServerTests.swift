import Errors
import FoundationEssentials
import ImageSpec
import Logging
import Registry
import Testing

@testable import RegistryServer

/// Runs `body` with a server of its own, reached as a registry, and ends both.
private func withServer(
  configure: (inout RegistryServerConfiguration) throws -> Void = { _ in }, credentials: RegistryCredentials? = nil,
  run body: (_ domain: String, RegistryClient) async throws -> Void
) async throws {
  let root = temporaryPath()
  defer { removeTree(root) }
  var configuration = RegistryServerConfiguration(root: root, port: 0)
  try configure(&configuration)
  let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
  let server = try RegistryServer(configuration, logger: logger)
  let domain = "127.0.0.1:\(try await server.listen())"
  var settings = RegistryConfiguration()
  settings.retryDelay = 1
  settings.certificateDirectories = []
  settings.uploadChunk = 1 << 20
  settings.parallelThreshold = 2 << 20
  settings.rangeSize = 1 << 20
  let client = RegistryClient(domain: domain, credentials: credentials, configuration: settings, logger: logger)
  let result: Result<Void, any Error>
  do {
    result = .success(try await body(domain, client))
  } catch {
    result = .failure(error)
  }
  await client.shutdown()
  await server.shutdown()
  try result.get()
}

private func temporaryPath() -> String { "/tmp/registry-test.\(UInt64.random(in: 0 ... .max))" }

func removeTree(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

private func blob(_ bytes: [UInt8]) -> Descriptor {
  Descriptor(mediaType: MediaType.layer, digest: ContentHash.digest(of: bytes), size: Int64(bytes.count))
}

private func random(_ count: Int) -> [UInt8] {
  var generator = SystemRandomNumberGenerator()
  return (0..<count / 8).flatMap { _ in withUnsafeBytes(of: generator.next()) { Array($0) } }
}

/// Pushes an image of one layer.
@discardableResult
private func push(
  _ layer: [UInt8], as reference: Reference, by client: RegistryClient, subject: Descriptor? = nil,
  artifactType: String? = nil
) async throws -> Descriptor {
  let config = Array(#"{"architecture":"amd64","os":"linux"}"#.utf8)
  for bytes in [config, layer] where try await !client.exists(blob(bytes), of: reference) {
    try await client.upload(blob(bytes), to: reference, from: .bytes(bytes))
  }
  var descriptor = blob(config)
  descriptor.mediaType = MediaType.configuration
  let manifest = try Manifest(
    artifactType: artifactType, config: descriptor, layers: [blob(layer)], subject: subject,
    annotations: ["made": "here"]
  ).json()
  let digest = try await client.put(manifest: manifest, mediaType: MediaType.manifest, as: reference)
  return Descriptor(mediaType: MediaType.manifest, digest: digest, size: Int64(manifest.count))
}

@Suite struct RegistryServerTests {
  @Test func givesBackWhatWasPushed() async throws {
    let layer = random(5 << 20)
    try await withServer { domain, client in
      let reference = try Reference(parsing: "\(domain)/team/app:1")
      let pushed = try await push(layer, as: reference, by: client)
      let found = try await client.manifest(reference)
      #expect(found.descriptor == pushed)
      #expect(try await client.head(reference) == pushed)
      // Several ranges at once.
      #expect(try await client.blob(blob(layer), of: reference) == layer)
      #expect(try await client.tags(of: reference) == ["1"])
      let other = try Reference(parsing: "\(domain)/other")
      #expect(try await !client.exists(blob(layer), of: other))
      #expect(try await client.mount(blob(layer), from: reference, to: other))
      #expect(try await client.exists(blob(layer), of: other))
      // What cannot be mounted is uploaded by the upload that was opened instead.
      #expect(try await !client.mount(blob([1]), from: reference, to: other))
      try await client.upload(blob([1]), to: other, from: .bytes([1]))
      #expect(try await client.search("tea").map(\.name) == ["\(domain)/team/app"])
      #expect(try await client.head(other.with(tag: "none")) == nil)
    }
  }

  @Test func pagesListsAndFindsReferrers() async throws {
    try await withServer(configure: { $0.limits.page = 2 }) { domain, client in
      let reference = try Reference(parsing: "\(domain)/x:0")
      let subject = try await push([1], as: reference, by: client)
      for number in 1...6 { try await push([1], as: reference.with(tag: "\(number)"), by: client) }
      #expect(try await client.tags(of: reference) == ["0", "1", "2", "3", "4", "5", "6"])
      #expect(try await client.tags(of: reference, limit: 3).count == 3)
      var expected: Set<Digest> = []
      for number in 1...5 {
        let made = try await push(
          [UInt8(number)], as: reference.with(tag: "r\(number)"), by: client, subject: subject,
          artifactType: number == 1 ? "application/one" : "application/more")
        expected.insert(made.digest)
      }
      let found = try await client.referrers(of: reference)
      #expect(Set(found.map(\.digest)) == expected)
      #expect(found.allSatisfy { $0.annotations == ["made": "here"] })
      #expect(try await client.referrers(of: reference, artifactType: "application/one").count == 1)
      // No tag takes the place of a list that the server keeps.
      #expect(try await client.tags(of: reference).allSatisfy { !$0.hasPrefix("sha256-") })
    }
  }

  @Test func refusesWhatIsNotWhole() async throws {
    try await withServer { domain, client in
      let reference = try Reference(parsing: "\(domain)/x:1")
      let missing = try Manifest(config: blob([9]), layers: []).json()
      let error = await #expect(throws: ApusError.self) {
        try await client.put(manifest: missing, mediaType: MediaType.manifest, as: reference)
      }
      #expect(error?.code == .invalidArgument)
      #expect(error?.message.contains("manifest blob unknown") == true)
      var wrong = blob([1, 2])
      wrong.digest = blob([3]).digest
      let digest = await #expect(throws: ApusError.self) {
        try await client.upload(wrong, to: reference, from: .bytes([1, 2]))
      }
      #expect(digest?.message.contains("digest invalid") == true)
      for text in ["{", "[]", #"{"schemaVersion":2}"#, #"{"schemaVersion":2,"mediaType":"application/x"}"#] {
        await #expect(throws: ApusError.self) {
          try await client.put(manifest: Array(text.utf8), mediaType: MediaType.manifest, as: reference)
        }
      }
      let large = Array(repeating: UInt8(ascii: " "), count: 5 << 20)
      let size = await #expect(throws: ApusError.self) {
        try await client.put(manifest: large, mediaType: MediaType.manifest, as: reference)
      }
      #expect(size?.code == .resourceExhausted)
    }
  }

  @Test func knowsPasswords() async throws {
    let path = temporaryPath()
    defer { removeTree(path) }
    // 'htpasswd -nbB -C 4 user s3cret'
    try Data("user:$2y$04$L01b.IQSm3uyx.btOuBad.2.xtni9wes9FBTqr0EmoNoXcmYr9Bhe\n".utf8).write(to: URL(filePath: path))
    for (password, opens) in [("s3cret", true), ("wrong", false), ("", false)] {
      try await withServer(
        configure: { $0.htpasswd = path }, credentials: RegistryCredentials(username: "user", password: password)
      ) { _, client in
        for _ in 0..<2 {
          if opens {
            try await client.checkCredentials()
          } else {
            await #expect(throws: ApusError.self) { try await client.checkCredentials() }
          }
        }
      }
    }
    try await withServer(configure: { $0.htpasswd = path }) { _, client in
      await #expect(throws: ApusError.self) { try await client.checkCredentials() }
    }
  }

  @Test func takesNoPushesWhenReadOnly() async throws {
    try await withServer(configure: { $0.isReadOnly = true }) { domain, client in
      let error = await #expect(throws: ApusError.self) {
        try await client.upload(blob([1]), to: Reference(parsing: "\(domain)/x"), from: .bytes([1]))
      }
      #expect(error?.code == .unsupported)
    }
  }

  @Test func boundsOpenUploads() async throws {
    try await withServer(configure: { $0.limits.uploads = 2 }) { domain, client in
      let (a, b) = (try Reference(parsing: "\(domain)/a"), try Reference(parsing: "\(domain)/b"))
      for number in 1...2 { #expect(try await !client.mount(blob([UInt8(number)]), from: a, to: b)) }
      // The third finds no room; the two that are open are finished, and there is room again.
      for number in 1...2 { try await client.upload(blob([UInt8(number)]), to: b, from: .bytes([UInt8(number)])) }
      try await client.upload(blob([3]), to: b, from: .bytes([3]))
    }
  }

  @Test func hasOneServerPerRoot() throws {
    let root = temporaryPath()
    defer { removeTree(root) }
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let first = try RegistryServer(RegistryServerConfiguration(root: root), logger: logger)
    let error = #expect(throws: ApusError.self) {
      try RegistryServer(RegistryServerConfiguration(root: root), logger: logger)
    }
    #expect(error?.code == .conflict)
    _ = first
  }
}

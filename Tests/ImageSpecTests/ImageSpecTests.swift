import Errors
import Testing

@testable import ImageSpec

private let hex = String(repeating: "0123456789abcdef", count: 4)

@Suite struct ReferenceTests {
  @Test(arguments: [
    ("debian", "docker.io/library/debian", "debian"),
    ("debian:12", "docker.io/library/debian:12", "debian:12"),
    ("docker.io/debian", "docker.io/library/debian", "debian"),
    ("index.docker.io/library/debian:12", "docker.io/library/debian:12", "debian:12"),
    ("user/app", "docker.io/user/app", "user/app"),
    ("docker.io/docker.io/x", "docker.io/docker.io/x", "docker.io/docker.io/x"),
    ("docker.io/localhost/x", "docker.io/localhost/x", "docker.io/localhost/x"),
    ("library/a/b", "docker.io/library/a/b", "library/a/b"),
    (
      "docker.io/" + String(repeating: "a", count: 64), "docker.io/library/" + String(repeating: "a", count: 64),
      "docker.io/library/" + String(repeating: "a", count: 64)
    ),
    ("localhost/app", "localhost/app", "localhost/app"),
    ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
    ("localhost:5000/app:v1.0_x-y", "localhost:5000/app:v1.0_x-y", "localhost:5000/app:v1.0_x-y"),
    ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
    ("Foo/bar", "Foo/bar", "Foo/bar"),
    ("quay.io/a__b/c.d/e---f", "quay.io/a__b/c.d/e---f", "quay.io/a__b/c.d/e---f"),
    ("debian:12@sha256:" + hex, "docker.io/library/debian:12@sha256:" + hex, "debian:12@sha256:" + hex),
  ])
  func parses(text: String, canonical: String, familiar: String) throws {
    let reference = try Reference(parsing: text)
    #expect(reference.canonical == canonical)
    #expect(reference.familiar == familiar)
    #expect(try Reference(parsing: reference.familiar) == reference)
    #expect(try Reference(parsing: reference.canonical) == reference)
  }

  @Test(arguments: [
    "", ":", "@", "a:", "a@", "UPPER", "a/Upper", "a//b", "/a", "a/", "-a", "a-", "a___b", "a..b", "a:b:c", "a b",
    "a:-x",
    "host:port/a", "host:1234567/a", "-host.x/a", "a@sha256:12", "../a", "a/../b", "[x/a", hex,
    "x:" + String(repeating: "t", count: 129), String(repeating: "a", count: 256), "ä", "a\u{0}b", "a\nb",
  ])
  func refuses(text: String) { #expect(throws: ApusError.self) { try Reference(parsing: text) } }

  @Test func upperCaseIsNamed() {
    #expect {
      try Reference(parsing: "Debian")
    } throws: {
      "\($0)" == "invalid reference format: repository name (library/Debian) must be lowercase"
    }
  }

  @Test func defaults() throws {
    #expect(try Reference(parsing: "a").withDefaultTag.familiar == "a:latest")
    #expect(try Reference(parsing: "a:1").withDefaultTag.familiar == "a:1")
    #expect(try Reference(parsing: "a:1").with(tag: "2").familiar == "a:2")
    #expect(throws: ApusError.self) { try Reference(parsing: "a").with(tag: "no/tag") }
  }
}

@Suite struct DigestTests {
  @Test func onlyWellFormed() {
    #expect(Digest("sha256:" + hex)?.hex == hex)
    #expect(Digest("sha512:" + hex + hex)?.algorithm == .sha512)
    for wrong in [
      "", "sha256:", hex, "sha256:" + hex.dropLast(), "sha256:" + hex.uppercased(), "md5:" + hex,
      "sha256:" + hex.dropLast(3) + "/..", "sha512:" + hex,
    ] { #expect(Digest(wrong) == nil) }
    #expect(Digest(bytes: [UInt8](repeating: 0xa5, count: 32))?.hex == String(repeating: "a5", count: 32))
    #expect(Digest(bytes: [1, 2, 3]) == nil)
  }
}

@Suite struct PlatformTests {
  @Test func parsesAndNormalizes() throws {
    #expect(try Platform(parsing: "linux/amd64").description == "linux/amd64")
    #expect(try Platform(parsing: "x86_64").description == "linux/amd64")
    #expect(try Platform(parsing: "linux/arm64/v8").description == "linux/arm64")
    #expect(try Platform(parsing: "linux/arm").description == "linux/arm/v7")
    #expect(try Platform(parsing: "linux/arm/6").description == "linux/arm/v6")
    // The longest there is must stay one that can be read again.
    let longest = try Platform(parsing: "linux/arm/" + String(repeating: "M", count: 64))
    #expect(try Platform(parsing: longest.description) == longest)
    for wrong in ["", "/", "linux/", "a/b/c/d", "linux/a b"] {
      #expect(throws: ApusError.self) { try Platform(parsing: wrong) }
    }
  }

  @Test func choosesFromIndex() throws {
    func descriptor(_ last: String, _ platform: Platform?) throws -> Descriptor {
      Descriptor(
        mediaType: MediaType.manifest, digest: try Digest(parsing: "sha256:" + hex.dropLast() + last), size: 1,
        platform: platform)
    }
    let v6 = try descriptor("6", Platform(architecture: "arm", variant: "v6"))
    let v7 = try descriptor("7", Platform(architecture: "arm", variant: "v7"))
    let amd = try descriptor("1", Platform(architecture: "amd64"))
    let attestation = try descriptor("2", Platform(architecture: "unknown", os: "unknown"))
    let index = Index(manifests: [attestation, v6, v7, amd])
    #expect(index.manifest(for: Platform(architecture: "arm", variant: "v7")) == v7)
    #expect(index.manifest(for: Platform(architecture: "arm", variant: "v5")) == nil)
    #expect(Index(manifests: [v6]).manifest(for: Platform(architecture: "arm")) == v6)
    #expect(index.manifest(for: Platform(architecture: "amd64", variant: "v1")) == amd)
    #expect(index.manifest(for: Platform(architecture: "riscv64")) == nil)
  }
}

@Suite struct DocumentTests {
  @Test func manifestRoundTrip() throws {
    let text = """
      {"config":{"digest":"sha256:\(hex)","mediaType":"\(MediaType.configuration)","size":7},"layers":[{"digest":\
      "sha256:\(hex)","mediaType":"\(MediaType.layerGzip)","size":9}],"mediaType":"\(MediaType.manifest)","schemaVersion":2}
      """
    let manifest = try Manifest(json: text.utf8)
    #expect(manifest.layers.count == 1)
    #expect(try manifest.json() == Array(text.utf8))
  }

  @Test(arguments: [
    ("{", "not well-formed JSON"), ("{}", "'schemaVersion' is missing"),
    (#"{"schemaVersion":1}"#, "version 1 is not supported"),
    (#"{"schemaVersion":2,"config":{"digest":"sha256:x","size":1}}"#, "'config.digest'"),
    (#"{"schemaVersion":2,"config":"x"}"#, "'config' has the wrong type"),
  ])
  func refusesManifest(text: String, reason: String) {
    #expect {
      try Manifest(json: text.utf8)
    } throws: {
      "\($0)".contains(reason)
    }
  }

  @Test func configurationOfDocker() throws {
    let text = """
      {"architecture":"amd64","config":{"Hostname":"x","User":"","ExposedPorts":{"80/tcp":{},"53/udp":{}},"Env":null,
      "Cmd":["sh"],"Entrypoint":"run","Volumes":{"/data":{}},"Labels":null,"Healthcheck":{"Test":["CMD","a"],"Interval":5}},
      "created":"2024-02-29T23:59:59.123456789Z","history":[{"created_by":"x","empty_layer":true}],
      "os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:\(hex)"]}}
      """
    let value = try ImageConfiguration(json: text.utf8)
    #expect(value.config.exposedPorts == ["53/udp", "80/tcp"])
    #expect(value.config.volumes == ["/data"])
    #expect(value.config.entrypoint == ["run"])
    #expect(value.config.healthcheck?.interval == 5)
    #expect(value.history.first?.emptyLayer == true)
    #expect(try ImageConfiguration(json: value.json()) == value)
  }

  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0.0), ("2024-02-29T23:59:59.5Z", 1_709_251_199.5),
    ("0001-01-01T00:00:00Z", -62_135_596_800),
    ("2024-03-01T01:59:59.5+02:00", 1_709_251_199.5), ("1969-12-31T23:59:59Z", -1),
  ])
  func timestamps(text: String, seconds: Double) {
    let date = RFC3339.date(text)
    #expect(date?.timeIntervalSince1970 == seconds)
    if let date { #expect(RFC3339.date(RFC3339.text(date)) == date) }
  }

  @Test(arguments: [
    "", "2024", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00Zx",
  ])
  func noTimestamp(text: String) { #expect(RFC3339.date(text) == nil) }
}

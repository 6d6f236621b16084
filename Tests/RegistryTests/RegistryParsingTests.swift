import Errors
import ImageSpec
import Testing

@testable import Registry

@Suite struct ChallengeTests {
  @Test func readsBearer() {
    let header =
      #"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull,push""#
    #expect(
      Challenge.parse(header) == [
        Challenge(
          scheme: "bearer",
          parameters: [
            "realm": "https://auth.docker.io/token", "service": "registry.docker.io",
            "scope": "repository:library/debian:pull,push",
          ])
      ])
  }

  @Test func readsSeveralInOneHeader() {
    let found = Challenge.parse(#"Basic realm="a, b", Bearer Realm = "x\"y" , service=z, Negotiate"#)
    #expect(
      found == [
        Challenge(scheme: "basic", parameters: ["realm": "a, b"]),
        Challenge(scheme: "bearer", parameters: ["realm": "x\"y", "service": "z"]), Challenge(scheme: "negotiate"),
      ])
  }

  @Test(arguments: [
    "", " ,,, ", "=", "\"", "Bearer realm=\"unterminated", "a=b", String(repeating: "x", count: 10_000), "Bearer =x",
    "Basic realm=\"\\",
  ])
  func survivesNonsense(header: String) {
    #expect(Challenge.parse(header).count <= 2)
  }
}

@Suite struct URLPartsTests {
  @Test func comparesOrigins() throws {
    let a = try #require(URLParts("https://Registry.example/v2/x?y=1#z"))
    #expect(a.text == "https://registry.example/v2/x?y=1")
    #expect(a.hasSameOrigin(as: try #require(URLParts("https://registry.example:443/other"))))
    #expect(!a.hasSameOrigin(as: try #require(URLParts("http://registry.example/other"))))
    #expect(!a.hasSameOrigin(as: try #require(URLParts("https://registry.example.evil/other"))))
    #expect(!a.hasSameOrigin(as: try #require(URLParts("https://registry.example:444/other"))))
  }

  @Test func resolvesRedirects() throws {
    let base = try #require(URLParts("https://h:5000/v2/x/blobs/y?a"))
    #expect(base.resolving("https://cdn/z?sig=1://2")?.text == "https://cdn/z?sig=1://2")
    #expect(base.resolving("/z")?.text == "https://h:5000/z")
    #expect(base.resolving("//other/z")?.text == "https://other/z")
    #expect(base.resolving("z")?.text == "https://h:5000/v2/x/blobs/z")
    #expect(base.resolving("ftp://h/z") == nil)
    #expect(base.resolving("https://user:pw@h/z") == nil)
    #expect(base.resolving("https://h/a b") == nil)
  }

  @Test(arguments: ["", "http", "http://", "file:///etc/passwd", "http://h:0/", "http://h:99999/", "://h"])
  func refuses(text: String) {
    #expect(URLParts(text) == nil)
  }
}

@Suite struct EndpointTests {
  @Test(arguments: [
    ("docker.io", false, false, ["https://registry-1.docker.io/v2/ verified"]),
    ("localhost:5000", false, false, ["http://localhost:5000/v2/", "https://localhost:5000/v2/"]),
    ("127.9.9.9", false, false, ["http://127.9.9.9/v2/", "https://127.9.9.9/v2/"]),
    ("[::1]:5000", false, false, ["http://[::1]:5000/v2/", "https://[::1]:5000/v2/"]),
    // For whom certificates are kept, they are used.
    ("localhost:5000", false, true, ["https://localhost:5000/v2/ verified"]),
    ("127.0.0.1.example", false, false, ["https://127.0.0.1.example/v2/ verified"]),
    ("localhost.example", false, false, ["https://localhost.example/v2/ verified"]),
    ("128.0.0.1", false, false, ["https://128.0.0.1/v2/ verified"]),
    ("plain.example", true, false, ["https://plain.example/v2/", "http://plain.example/v2/"]),
  ])
  func choosesSchemes(host: String, insecure: Bool, hasCertificates: Bool, expected: [String]) {
    let choices = Endpoint.choices(host: host, insecure: insecure, hasCertificates: hasCertificates)
    #expect(choices.map { $0.base + ($0.scheme == "https" && $0.verifies ? " verified" : "") } == expected)
  }

  @Test(arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("user:p\u{e4}ss", "dXNlcjpww6Rzcw==")])
  func encodesBase64(text: String, expected: String) {
    #expect(Base64.encode(Array(text.utf8)) == expected)
  }
}

@Suite struct ManifestReaderTests {
  private static let digest = "sha256:" + String(repeating: "a", count: 64)
  private static let descriptor = #"{"mediaType":"application/x","digest":"\#(digest)","size":1}"#
  private let reference: Reference

  init() throws { reference = try Reference(parsing: "example.com/x:1") }

  @Test func tellsManifestsFromIndexes() throws {
    let manifest = #"{"schemaVersion":2,"config":\#(Self.descriptor),"layers":[]}"#
    let read = try ManifestReader.read(Array(manifest.utf8), contentType: "text/plain", of: reference)
    #expect(read.mediaType == MediaType.manifest)
    let index = #"{"schemaVersion":2,"manifests":[\#(Self.descriptor)]}"#
    let second = try ManifestReader.read(Array(index.utf8), contentType: MediaType.dockerManifestList, of: reference)
    #expect(second.mediaType == MediaType.dockerManifestList)
  }

  @Test(arguments: [
    // Both at once (CVE-2021-41190).
    #"{"schemaVersion":2,"manifests":[],"config":\#(descriptor),"layers":[]}"#,
    #"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
    #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","config":\#(descriptor),"layers":[]}"#,
    #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#,
    #"{"schemaVersion":1,"name":"x","tag":"1","fsLayers":[]}"#, #"{"schemaVersion":3,"layers":[]}"#, "[]", "", "{",
    #"{"schemaVersion":2,"config":{"digest":"sha256:short","size":1},"layers":[]}"#,
    #"{"schemaVersion":2,"config":{"digest":"\#(digest)","size":-1},"layers":[]}"#,
  ])
  func refuses(text: String) {
    #expect(throws: ApusError.self) {
      try ManifestReader.read(Array(text.utf8), contentType: nil, of: reference)
    }
  }
}

import Errors
import ImageSpec
import Testing

@testable import Registry

@Suite struct RegistriesFileTests {
  @Test func readsWhatItsManualShows() throws {
    let file = try RegistriesFile(
      toml: """
        unqualified-search-registries = ["example.com"]
        short-name-mode = "enforcing"

        [[registry]]
        prefix = "example.com/foo"
        insecure = false
        blocked = false
        location = "internal-registry-for-example.com/bar"

        [[registry.mirror]]
        location = "example-mirror-0.local/mirror-for-foo"
        [[registry.mirror]]
        location = "example-mirror-1.local/mirrors/foo"
        insecure = true
        pull-from-mirror = "digest-only"

        [[registry]]
        location = "registry.com"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "mirror.registry.com"

        [[registry]]
        prefix = "*.evil.example"
        blocked = true
        """, name: "registries.conf")
    #expect(
      file.registries == [
        .init(
          prefix: "example.com/foo", location: "internal-registry-for-example.com/bar",
          mirrors: [
            .init(location: "example-mirror-0.local/mirror-for-foo"),
            .init(location: "example-mirror-1.local/mirrors/foo", insecure: true, use: .digestOnly),
          ]),
        .init(prefix: "registry.com", mirrors: [.init(location: "mirror.registry.com", use: .digestOnly)]),
        .init(prefix: "*.evil.example", blocked: true),
      ])
  }

  @Test(arguments: [
    ("[[registry]", "no TOML"), ("registry = 1", "array of tables"), ("[[registry]]\nblocked = true", "needs a prefix"),
    ("[[registry]]\nprefix = 3", "must be a string"),
    ("[[registry]]\nprefix = \"a\"\nblocked = \"yes\"", "true or false"),
    ("[[registry]]\nprefix = \"a.*.b\"", "wildcard"), ("[registries.search]\nregistries = []", "version 1"),
    ("[[registry]]\nprefix = \"a\"\n[[registry]]\nprefix = \"a\"", "two [[registry]] tables"),
    ("[[registry]]\nprefix = \"a\"\n[[registry.mirror]]\ninsecure = true", "no location"),
    ("[[registry]]\nprefix = \"a\"\n[[registry.mirror]]\nlocation = \"b\"\npull-from-mirror = \"x\"", "expected all"),
    (
      "[[registry]]\nprefix = \"a\"\nmirror-by-digest-only = true\n"
        + "[[registry.mirror]]\nlocation = \"b\"\npull-from-mirror = \"all\"", "keep one"
    ),
  ])
  func saysWhatIsWrong(text: String, words: String) {
    let error = #expect(throws: ApusError.self) { try RegistriesFile(toml: text, name: "/etc/x.conf") }
    #expect(error?.message.hasPrefix("/etc/x.conf") == true)
    #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
  }

  @Test(
    arguments: [
      ("example.com", "example.com/foo", 11), ("example.com/foo", "example.com/foo", 15),
      ("example.com/foo", "example.com/foo/bar", 15), ("example.com/foo", "example.com/foobar", nil),
      ("example.com", "example.com:5000/foo", 11), ("example.com", "example.community/foo", nil),
      ("*.example.com", "a.example.com/foo", 13), ("*.example.com", "a.b.example.com:5000/foo", 15),
      ("*.example.com", "example.com/foo", nil), ("*.example.com", "x.com/a.example.com", nil),
      ("*.example.com", "a.example.com.evil/foo", nil), ("*.example.com/foo", "a.example.com/foo/bar", 17),
      ("*.example.com/foo", "a.example.com/bar", nil), ("docker.io", "docker.io/library/debian", 9),
    ] as [(String, String, Int?)])
  func matchesPrefixes(prefix: String, name: String, length: Int?) {
    #expect(RegistriesFile.match(prefix, name) == length)
  }

  private func places(_ file: RegistriesFile, _ name: String, pulling: Bool = true) throws -> [String] {
    try file.locations(of: Reference(parsing: name), pulling: pulling).map {
      "\($0.host) \($0.path)\($0.insecure ? " insecure" : "")\($0.isMirror ? " mirror" : "")"
    }
  }

  @Test func rewritesNames() throws {
    let digest = "sha256:" + String(repeating: "a", count: 64)
    let file = RegistriesFile(registries: [
      .init(
        prefix: "docker.io",
        mirrors: [
          .init(location: "mirror.local:5000/hub", insecure: true), .init(location: "b.local", use: .digestOnly),
          .init(location: "c.local", use: .tagOnly),
        ]),
      .init(prefix: "docker.io/team", location: "internal.net/x"),
      .init(prefix: "*.gone.example", blocked: true),
      .init(prefix: "bad.example", location: "bad.example/UPPER"),
    ])
    #expect(
      try places(file, "debian:12") == [
        "mirror.local:5000 hub/library/debian insecure mirror", "c.local library/debian mirror",
        "docker.io library/debian",
      ])
    #expect(
      try places(file, "debian@\(digest)") == [
        "mirror.local:5000 hub/library/debian insecure mirror", "b.local library/debian mirror",
        "docker.io library/debian",
      ])
    // A push goes to no mirror; the longer prefix wins.
    #expect(try places(file, "debian:12", pulling: false) == ["docker.io library/debian"])
    #expect(try places(file, "team/app") == ["internal.net x/app"])
    #expect(try places(file, "other.example/x") == ["other.example x"])
    let blocked = #expect(throws: ApusError.self) { try places(file, "a.gone.example/x") }
    #expect(blocked?.code == .permissionDenied)
    #expect(throws: ApusError.self) { try places(file, "bad.example/x") }
  }

  @Test(
    arguments: [
      ("0", 0), ("120", 120), ("-1", nil), ("", nil), ("soon", nil),
      ("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("Thu, 01 Jan 2099 00:00:00 GMT", 4_070_908_800 - 1_700_000_000),
      ("Tue, 29 Feb 2028 12:00:00 GMT", 1_835_438_400 - 1_700_000_000), ("Sun, 32 Nov 1994 08:49:37 GMT", nil),
      ("Sun, 06 Foo 1994 08:49:37 GMT", nil), ("Sun, 06 Nov 1994 08:49:37 PST", nil),
    ] as [(String, Int64?)])
  func readsRetryAfter(text: String, expected: Int64?) {
    #expect(RetryAfter.seconds(text, now: 1_700_000_000) == expected)
  }

  @Test(
    arguments: [
      (["</v2/x/tags/list?n=2&last=b>; rel=\"next\""], "/v2/x/tags/list?n=2&last=b"),
      (["<a>; rel=prev, <b,c>; rel=next"], "b,c"), (["<a>; rel=\"prev\""], nil), ([], nil), (["<"], nil),
      (["rel=next"], nil),
    ] as [([String], String?)])
  func readsLinks(headers: [String], expected: String?) {
    #expect(Link.next(in: headers) == expected)
  }
}

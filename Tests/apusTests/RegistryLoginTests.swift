import Testing

@testable import apus

@Suite("accounts at registries") struct RegistryLoginTests {
  @Test(
    "names in full",
    arguments: [
      ("debian", "12", "docker.io/library/debian:12"), ("team/app", nil, "docker.io/team/app"),
      ("docker.io/debian", "x", "docker.io/library/debian:x"), ("localhost/a", "1", "localhost/a:1"),
      ("index.docker.io/a/b", "1", "docker.io/a/b:1"), ("host:5000/a", "sha256:00", "host:5000/a@sha256:00"),
    ] as [(String, String?, String)])
  func names(name: String, tag: String?, full: String) { #expect(ImagePull.canonical(name, tag) == full) }

  @Test(
    "the registry of an address",
    arguments: [
      ("https://index.docker.io/v1/", "docker.io"), ("docker.io", "docker.io"), ("host:5000", "host:5000"),
      ("http://host.example/v2/", "host.example"), ("localhost", "localhost"),
    ])
  func registries(text: String, name: String) { #expect(RegistryLogin.registry(named: text) == name) }

  @Test("what docker has written is read, and what is written docker reads")
  func entries() throws {
    let file = DockerConfiguration(
      file: [
        "auths": [
          "https://index.docker.io/v1/": ["auth": "bWU6c2U6Y3JldA=="],
          "token.example": ["auth": "bWU6", "identitytoken": "t0ken"], "empty.example": [:],
        ], "credHelpers": ["helped.example": "one"], "credsStore": "all",
      ])
    func account(_ registry: String) -> RegistryAccount? { file.account(RegistryLogin.keys(for: registry)) }
    #expect(account("docker.io") == RegistryAccount(user: "me", secret: "se:cret"))
    #expect(account("token.example") == RegistryAccount(user: "me", secret: "t0ken", isToken: true))
    #expect(account("empty.example") == nil && account("none.example") == nil)
    #expect(file.helper(for: "helped.example")?.name == "one" && file.helper(for: "other.example")?.name == "all")
    for kept in ["docker.io", "token.example"].compactMap(account) {
      var copy = DockerConfiguration(file: [:])
      copy.set(DockerConfiguration.entry(kept), for: "x")
      #expect(copy.account(["x"]) == kept)
      copy.remove("x")
      #expect(!copy.contains("x"))
    }
  }

  @Test("base64", arguments: [[], [0], [0, 1], [255, 254, 253], Array(0...255)] as [[UInt8]])
  func base64(bytes: [UInt8]) {
    #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    #expect(Base64.decode("a b") == nil)
  }

  @Test("commands for registries parse as docker's")
  func parses() throws {
    for line in [
      "push -q a:1", "push --all-tags a", "push --platform linux/arm64 a", "pull -a a", "pull --platform linux/arm64 a",
      "search --limit 5 --filter stars=3 --no-trunc x", "login -u me --password-stdin r", "logout r",
      "manifest create --amend --insecure l:1 a b", "manifest annotate --arch arm64 --os linux --variant v8 l:1 a",
      "manifest inspect -v l", "manifest push -p l:1", "manifest rm l:1 m:1", "image push a:1",
    ] {
      let syntax = DockerSyntax(line.split(separator: " ").map(String.init), root: Apus.self)
      #expect(syntax.unknown == nil, "\(line)")
      #expect(throws: Never.self, "\(line)") { _ = try syntax.command.parseAsRoot(syntax.words) }
    }
  }
}

import Errors
import FoundationEssentials
import Glibc
import ImageSpec
import Testing

@testable import Engine

@Suite struct ImagesBootstrapTests {
  @Test func readsOneLineSources() {
    let text = """
      # deb http://nowhere x main
      deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror/debian bookworm main contrib # x
      deb-src http://mirror/debian bookworm main
      deb [ trusted=yes ] http://local/debian ./
      """
    let sources = AptSource.parse(text, isDeb822: false)
    #expect(sources.count == 2)
    #expect(sources[0].uri == "http://mirror/debian")
    #expect(sources[0].suites == ["bookworm"])
    #expect(sources[0].components == ["main", "contrib"])
    #expect(sources[0].signedBy == "/usr/share/keyrings/debian-archive-keyring.gpg")
    #expect(sources[1].isTrusted)
  }

  @Test func readsStanzas() {
    let text = """
      Types: deb deb-src
      # a comment inside
      URIs: http://mirror/debian
      Suites: bookworm
       bookworm-updates
      Components: main
      Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

      Types: deb
      URIs: http://mirror/debian-security
      Suites: bookworm-security
      Components: main
      Enabled: no
      """
    let sources = AptSource.parse(text, isDeb822: true)
    #expect(sources.count == 1)
    #expect(sources[0].suites == ["bookworm", "bookworm-updates"])
  }

  @Test(arguments: [
    ("debian:12", "bookworm"), ("debian", "stable"), ("debian:trixie", "trixie"), ("debian:12.5-slim", "bookworm"),
    ("localhost:5000/me/debian:sid", "sid"), ("ubuntu:24.04", "noble"), ("ubuntu", "noble"),
  ])
  func findsSuites(reference: String, suite: String) throws {
    #expect(try BootstrapPlan(reference: reference, suite: nil, include: [], initSystem: false).suite == suite)
  }

  @Test func refusesWhatItCannotMake() {
    for reference in ["alpine:3", "debian:Bookworm;rm", "debian@sha256:" + String(repeating: "a", count: 64)] {
      #expect(throws: ApusError.self) {
        try BootstrapPlan(reference: reference, suite: nil, include: [], initSystem: false)
      }
    }
    #expect(throws: ApusError.self) {
      try BootstrapPlan(reference: "debian:12", suite: nil, include: ["curl --force"], initSystem: false)
    }
  }

  @Test func usesTheMachinesMirrors() throws {
    let machine = AptSource.parse(
      """
      Types: deb
      URIs: http://mirror/debian
      Suites: bookworm bookworm-updates
      Components: main
      Signed-By: /k.gpg

      Types: deb
      URIs: http://mirror/debian-security
      Suites: bookworm-security
      Components: main
      """, isDeb822: true)
    let lines = try BootstrapDistribution.debian.sources(
      suite: "trixie", machine: machine, keyringExists: { _ in true })
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    #expect(
      lines == [
        "deb [signed-by=/k.gpg] http://mirror/debian trixie main",
        "deb [signed-by=/k.gpg] http://mirror/debian trixie-updates main",
        "deb [signed-by=\(keyring)] http://mirror/debian-security trixie-security main",
      ])
    #expect(
      try BootstrapDistribution.debian.sources(suite: "sid", machine: machine, keyringExists: { _ in true })
        == ["deb [signed-by=/k.gpg] http://mirror/debian sid main"])
    #expect(throws: ApusError.self) {
      try BootstrapDistribution.debian.sources(suite: "sid", machine: [], keyringExists: { _ in true })
    }
    #expect(throws: ApusError.self) {
      try BootstrapDistribution.ubuntu.sources(suite: "noble", machine: machine, keyringExists: { _ in false })
    }
  }

  @Test func understandsTheTool() {
    var progress = BootstrapProgress()
    #expect(progress.take("apus: epoch 1700000000") == nil)
    #expect(progress.epoch == 1_700_000_000)
    #expect(progress.take("Unpacking libc6:amd64 (2.36) ...")?.status == "Unpacking libc6")
    let set = progress.take("Setting up libc6:amd64 (2.36) ...")
    #expect(set?.status == "Setting up libc6")
    #expect(set?.current == 1)
    #expect(progress.take("E: Unable to locate package nonsense") == nil)
    #expect(progress.failure == "Unable to locate package nonsense")
  }

  @Test func keepsHowTheMachineReachesItsMirrors() {
    let dump = """
      Acquire "";
      Acquire::http "";
      Acquire::http::Proxy "http://proxy:3128";
      Acquire::Check-Valid-Until "false";
      Acquire::Languages:: "en";
      """
    #expect(
      BootstrapMachine.aptOptions(dump: dump) == [
        "Acquire::http::Proxy \"http://proxy:3128\"", "Acquire::Check-Valid-Until \"false\"",
      ])
  }

  /// Real packages from the machine's mirror; needs root and a minute.
  @Test(.enabled(if: getenv("APUS_TEST_BOOTSTRAP") != nil && geteuid() == 0 && Command.exists("mmdebstrap")))
  func makesDebian() async throws {
    try await withImageStore { store in
      let clock = ContinuousClock()
      let start = clock.now
      let progress = try await drain(store.service.bootstrap("debian:12"))
      let took = clock.now - start
      let image = try await store.service.resolve("debian:12")
      print("bootstrap: \(took), \(progress.count) messages, tar \(image.size), \(image.layers[0])")
      #expect(progress.last?.image == image.id)
      #expect(image.config.config.cmd == ["bash"])
      #expect(image.layers.count == 1)
      #expect(image.size < 100 << 20)
      let again = clock.now
      try await drain(store.service.bootstrap("debian:12"))
      #expect(clock.now - again < .milliseconds(100))
      try await drain(store.service.bootstrap("debian:12", force: true))
      let second = try await store.service.resolve("debian:12")
      #expect(second.layers == image.layers, "the same packages give the same layer")
      #expect(second.id == image.id)
      if let keep = getenv("APUS_TEST_KEEP_LAYER") {
        try Command.run(["cp", store.content.path(for: image.manifest.layers[0].digest), String(cString: keep)])
      }
    }
  }

  @Test(.enabled(if: getenv("APUS_TEST_BOOTSTRAP") != nil && geteuid() == 0 && Command.exists("mmdebstrap")))
  func leavesNothingWhenItFailsOrIsCancelled() async throws {
    try await withImageStore { store in
      let error = await #expect(throws: ApusError.self) {
        try await drain(store.service.bootstrap("debian:12", include: ["no-such-package-anywhere"]))
      }
      print("bootstrap failure: \(error?.message ?? "")")
      #expect(try store.items().isEmpty)
      let task = Task { try await drain(store.service.bootstrap("debian:12")) }
      try await Task.sleep(for: .seconds(3))
      task.cancel()
      _ = await task.result
      #expect(try await store.settled([]).isEmpty)
    }
  }
}

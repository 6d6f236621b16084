import Testing

@testable import apus

@Suite("Go templates") struct TemplateTests {
  private let value: JSON = [
    "Id": "abc", "State": ["Running": true, "Pid": 7, "Health": .null], "Names": ["x", "y"],
    "Networks": ["b": ["IP": "2"], "a": ["IP": "1"]], "Labels": "k=v,other=w", "Config": ["Labels": ["a.b": "dot"]],
  ]

  @Test(
    "fields, functions, pipes, loops, conditions",
    arguments: [
      ("{{.Id}}", "abc"), ("{{.State.Pid}}-{{.State.Running}}", "7-true"), ("{{json .Names}}", #"["x","y"]"#),
      ("{{.Names}}", "[x y]"), ("{{range .Names}}<{{.}}>{{end}}", "<x><y>"),
      ("{{range $k, $v := .Networks}}{{$k}}={{$v.IP}} {{end}}", "a=1 b=2 "),
      ("{{range $i, $n := .Names}}{{$i}}{{$n}}{{end}}", "0x1y"),
      ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
      ("{{if .State.Health}}a{{else if .Id}}b{{else}}c{{end}}", "b"),
      ("{{with .State}}{{.Pid}}{{end}}", "7"), ("{{index .Names 1}}", "y"), (#"{{index .Config.Labels "a.b"}}"#, "dot"),
      ("{{.Id | upper | printf \"%5s|\"}}", "  ABC|"), (#"{{join .Names ","}}"#, "x,y"), ("{{len .Names}}", "2"),
      ("{{eq .Id \"abc\"}} {{ne .State.Pid 7}} {{gt .State.Pid 3}}", "true false true"),
      ("{{and .Id .State.Running}} {{or .State.Health .Id}} {{not .Id}}", "true abc false"),
      ("{{range .Missing}}x{{else}}none{{end}}", "none"), ("{{.Missing}}", "<no value>"),
      ("a {{- .Id -}} b", "aabcb"), ("{{/* note */}}x", "x"), (#"{{.Label "k"}}"#, "v"),
      ("{{$x := .Id}}{{$x}}{{println .Id}}", "abcabc\n"), ("{{title .Id}}{{(index .Names 0)}}", "Abcx"),
      ("{{json .}}", ""),
    ])
  func evaluates(template: String, expected: String) throws {
    let result = try TemplateEvaluator.apply(try Template(template), to: value)
    #expect(result == (expected.isEmpty ? value.text() : expected))
  }

  @Test("mistakes are named", arguments: ["{{.Id", "{{if .Id}}x", "{{end}}", "{{nosuch .Id}}", "{{(.Id}}", "{{$y}}"])
  func refused(template: String) {
    #expect(throws: (any Error).self) { try TemplateEvaluator.apply(try Template(template), to: value) }
  }

  @Test("an unknown field of a row is a mistake")
  func strict() {
    #expect(throws: (any Error).self) {
      try TemplateEvaluator.apply(try Template("{{.Nmae}}"), to: ["Name": "x"], strict: true)
    }
  }
}

@Suite("Figures for people") struct HumanizeTests {
  @Test(
    "sizes",
    arguments: [
      (0, "0B"), (999, "999B"), (1000, "1kB"), (1_980_000, "1.98MB"), (117_000_000, "117MB"),
      (12_345_678_901, "12.3GB"),
    ] as [(Int64, String)])
  func sizes(bytes: Int64, text: String) { #expect(Humanize.size(bytes) == text) }

  @Test(
    "binary sizes",
    arguments: [(0, "0B"), (577_536, "564KiB"), (1_048_576, "1MiB"), (25_276_000_000, "23.54GiB")] as [(Int64, String)])
  func binarySizes(bytes: Int64, text: String) { #expect(Humanize.binarySize(bytes) == text) }

  @Test(
    "durations",
    arguments: [
      (0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (3599, "59 minutes"),
      (3600, "About an hour"), (7200, "2 hours"), (86400 * 3, "3 days"), (86400 * 21, "3 weeks"),
      (86400 * 90, "3 months"),
      (86400 * 800, "2 years"),
    ] as [(Int64, String)])
  func durations(seconds: Int64, text: String) { #expect(Humanize.duration(seconds) == text) }

  @Test("decimals")
  func decimals() {
    #expect(Humanize.fixed(0.005, 2) == "0.01")
    #expect(Humanize.fixed(-1.5, 1) == "-1.5")
    #expect(Humanize.fixed(12, 0) == "12")
  }
}

@Suite("Times and amounts") struct QuantityTests {
  @Test("times of the API")
  func timestamps() throws {
    let time = try #require(Timestamp.parse("2026-11-21T07:00:00.5Z"))
    #expect(time.seconds == 1_795_244_400)
    #expect(time.nanoseconds == 500_000_000)
    #expect(Timestamp.parse("2026-11-21T08:00:00+01:00")?.seconds == 1_795_244_400)
    #expect(Timestamp.parse("1970-01-01")?.seconds == 0)
    #expect(Timestamp.parse("2024-02-29T00:00")?.seconds == 1_709_164_800)
    #expect(Timestamp.parse("yesterday") == nil)
    #expect(try Timestamp.parameter("1700000000.5") == "1700000000.5")
  }

  @Test(
    "bytes",
    arguments: [("1", 1), ("1k", 1024), ("1.5g", 1_610_612_736), ("64KiB", 65536), ("10 MB", 10_485_760)]
      as [(String, Int64)])
  func bytes(text: String, value: Int64) { #expect(Quantity.bytes(text) == value) }

  @Test("no bytes", arguments: ["", "x", "1x", "-1", "99999999p"])
  func noBytes(text: String) { #expect(Quantity.bytes(text) == nil) }

  @Test(
    "durations",
    arguments: [("1m30s", 90_000_000_000), ("500ms", 500_000_000), ("1.5h", 5_400_000_000_000), ("0", 0)]
      as [(String, Int64)])
  func durations(text: String, value: Int64) { #expect(Quantity.duration(text) == value) }

  @Test("no durations", arguments: ["", "10", "s", "1x"])
  func noDurations(text: String) { #expect(Quantity.duration(text) == nil) }

  @Test("CPUs are exact")
  func cpus() {
    #expect(Quantity.nanoCPUs("0.1") == 100_000_000)
    #expect(Quantity.nanoCPUs("2") == 2_000_000_000)
    #expect(Quantity.nanoCPUs(".5") == 500_000_000)
    #expect(Quantity.nanoCPUs("-1") == nil)
    #expect(Quantity.nanoCPUs("1.2.3") == nil)
  }
}

@Suite("Tables and suggestions") struct TableTests {
  @Test("columns are as wide as their widest cell")
  func table() {
    #expect(
      Table.text(headings: ["A", "BB"], rows: [["long", "x"], ["é", "y"]]) == "A      BB\nlong   x\né      y\n")
  }

  @Test("the nearest word")
  func suggestions() {
    let names = ["run", "rm", "rmi", "images", "inspect"]
    #expect(Suggestion.nearest(to: "rnu", among: names) == "run")
    #expect(Suggestion.nearest(to: "image", among: names) == "images")
    #expect(Suggestion.nearest(to: "insp", among: names) == "inspect")
    #expect(Suggestion.nearest(to: "zzzz", among: names) == nil)
  }

  @Test("names, tags, digests")
  func references() {
    #expect(ImagePull.split("a") == ("a", nil))
    #expect(ImagePull.split("r:5000/a/b") == ("r:5000/a/b", nil))
    #expect(ImagePull.split("r:5000/a:1") == ("r:5000/a", "1"))
    #expect(ImagePull.split("a:1@sha256:ff") == ("a", "sha256:ff"))
    #expect(RegistryLogin.registry(of: "library/a") == "docker.io")
    #expect(RegistryLogin.registry(of: "localhost/a") == "localhost")
    #expect(RegistryLogin.registry(of: "r.io:1/a") == "r.io:1")
  }
}

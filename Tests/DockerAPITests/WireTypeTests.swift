import DockerTypes
import FoundationEssentials
import Testing

struct WireTypeTests {
  @Test(arguments: [
    ("2024-02-29T23:59:59.5Z", "2024-02-29T23:59:59.5Z"),
    ("2024-02-29T23:59:59.123456+02:00", "2024-02-29T21:59:59.123456Z"),
    ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"), ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z"),
  ])
  func timestampsRoundTrip(text: String, expected: String) throws {
    let date: Date = try #require(GoTime.date(text))
    #expect(GoTime.string(date) == expected)
  }

  @Test func timestampsThatAreNoneAreRefused() {
    for text in ["", "2024", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00.Z", "x", GoTime.zero] {
      #expect(GoTime.date(text) == nil)
    }
    #expect(GoTime.string(nil) == "0001-01-01T00:00:00Z")
    #expect(GoTime.string(Date(timeIntervalSince1970: 1.5), padded: true) == "1970-01-01T00:00:01.500000000Z")
  }

  @Test func pointsInTimeOfAQuery() {
    let now = Date(timeIntervalSince1970: 1_700_000_000)
    func seconds(_ text: String) -> Double? { GoTime.query(text, now: now)?.timeIntervalSince1970 }
    #expect(seconds("1600000000") == 1_600_000_000)
    #expect(seconds("1600000000.500000000") == 1_600_000_000.5)
    #expect(seconds("10m") == 1_699_999_400)
    #expect(seconds("2024-01-02") == 1_704_153_600)
    #expect(seconds("2024-01-02T00:00:00") == 1_704_153_600)
    #expect(seconds("soon") == nil)
  }

  @Test(arguments: [
    ("1h2m3.5s", 3_723_500_000_000, "1h2m3.5s"), ("250ms", 250_000_000, "250ms"), ("90s", 90_000_000_000, "1m30s"),
    ("-1.5h", -5_400_000_000_000, "-1h30m0s"), ("0", 0, "0s"), ("1us", 1_000, "1µs"), ("7ns", 7, "7ns"),
  ])
  func durations(text: String, nanoseconds: Int, canonical: String) {
    #expect(GoDuration.nanoseconds(text) == nanoseconds)
    #expect(GoDuration.string(nanoseconds: nanoseconds) == canonical)
  }

  @Test func durationsThatAreNoneAreRefused() {
    for text in ["", "5", "h", "1x", "1.2.3s", "-", "999999999999h"] { #expect(GoDuration.nanoseconds(text) == nil) }
  }

  @Test func filtersComeInTwoForms() throws {
    let new = try Filters(json: #"{"label":["a=1","b"]}"#)
    let old = try Filters(json: #"{"label":{"a=1":true,"b":true,"c":false}}"#)
    #expect(new == old)
    #expect(new.allows(labels: ["a": "1", "b": ""]))
    #expect(!new.allows(labels: ["a": "2", "b": ""]))
    #expect(!(try Filters(json: #"{"label!":["a"]}"#)).allows(labels: ["a": "1"]))
    #expect(try Filters(json: "") == Filters())
    #expect(throws: (any Error).self) { try Filters(json: "[]") }
    #expect(try Filters(json: #"{"dangling":["1"]}"#).flag("dangling") == true)
  }

  @Test func streamFramesAreEightBytes() {
    let frame = StreamFrame(.stderr, length: 0x0102_0304)
    #expect(frame.header == 0x0200_0000_0102_0304)
    #expect(StreamFrame(header: frame.header) == frame)
    #expect(StreamFrame(header: 0x0900_0000_0000_0001) == nil)
    #expect(StreamFrame(header: 0x0101_0000_0000_0001) == nil)
  }

  @Test func membersKeepTheirOrderAndTheirKindOfNothing() throws {
    func text(_ value: some Encodable) throws -> String {
      String(decoding: try WireEncoder.encode(value), as: UTF8.self)
    }
    #expect(
      try text(VolumeCreateRequest()) == #"{"Name":"","Driver":"","DriverOpts":null,"Labels":null}"#)
    var message = ProgressMessage()
    message.status = "a\"b\\\n\u{1}é"
    #expect(try text(message) == #"{"status":"a\"b\\\n\u0001é"}"#)
    #expect(try text(["b": [1, -2], "a": []]) == #"{"a":[],"b":[1,-2]}"#)
    #expect(try text(UInt64.max) == "18446744073709551615")
    #expect(try text([Int.min]) == "[-9223372036854775808]")
    #expect(throws: EncodingError.self) { try text([Double.nan]) }
    let host = try text(HostConfig())
    #expect(host.hasPrefix(#"{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":null},"#))
  }

  @Test func bothEncodersAgree() throws {
    var request = ContainerCreateRequest()
    request.config.image = "x"
    request.config.cmd = ["a", "b"]
    request.hostConfig = HostConfig()
    request.hostConfig?.resources.memory = 5
    request.hostConfig?.portBindings = ["80/tcp": nil]
    let bytes = try WireEncoder.encode(request)
    #expect(try JSONDecoder().decode(ContainerCreateRequest.self, from: Data(bytes)) == request)
  }

  @Test func zerosStayOutOfTheCompactForm() throws {
    var host = HostConfig()
    host.dns = []
    host.resources.memory = 5
    let text = try CompactEncoding.$omitsZeros.withValue(true) {
      String(decoding: try WireEncoder.encode(host), as: UTF8.self)
    }
    #expect(text == #"{"Dns":[],"Memory":5}"#)
    #expect(try JSONDecoder().decode(HostConfig.self, from: Data(text.utf8)) == host)
  }
}

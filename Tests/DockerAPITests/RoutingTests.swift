import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Registry
import Testing

@testable import DockerAPI

struct RoutingTests {
  @Test(arguments: [
    ("/v1.43/info?x=1", "/info", APIVersion(1, 43)), ("/info", "/info", nil), ("/version", "/version", nil),
    ("/v1.24/images/debian:12/json", "/images/debian:12/json", APIVersion(1, 24)),
    ("/images/reg.example:5000/a/b:1/json", "/images/reg.example:5000%2Fa%2Fb:1/json", nil),
    ("/images/a/b", "/images/a%2Fb", nil), ("/images/json", "/images/json", nil),
    ("/images/json/tag", "/images/json/tag", nil), ("/volumes/v1", "/volumes/v1", nil),
    ("/vx.y/info", "/vx.y/info", nil),
  ])
  func pathsLoseTheirVersion(target: String, path: String, version: APIVersion?) {
    let found = RequestPath(target)
    #expect(found.path == path)
    #expect(found.version == version)
  }

  @Test func versionsOutOfRangeAreRefusedInDockersWords() throws {
    #expect(throws: Never.self) { try APIVersion(1, 24).requireSupported() }
    #expect(throws: Never.self) { try APIVersion(1, 50).requireSupported() }
    let old = #expect(throws: ApusError.self) { try APIVersion(1, 23).requireSupported() }
    #expect(old?.message.contains("client version 1.23 is too old. Minimum supported API version is 1.24") == true)
    let new = #expect(throws: ApusError.self) { try APIVersion(2, 0).requireSupported() }
    #expect(new?.message == "client version 2.0 is too new. Maximum supported API version is 1.50")
  }

  @Test func queriesAreReadAsGoReadsThem() throws {
    let query = Query("a=1&b=x+y%2Fz&c&d=0&e=True&a=2&bad=%zz%4&t=12&n=abc")
    #expect(query["a"] == "1")
    #expect(query.all("a") == ["1", "2"])
    #expect(query["b"] == "x y/z")
    #expect(query["c"] == "")
    #expect(!query.flag("c") && !query.flag("d") && query.flag("e") && !query.flag("none"))
    #expect(query.flag("none", default: true))
    #expect(query["bad"] == "%zz%4")
    #expect(try query.number("t") == 12)
    #expect(throws: ApusError.self) { try query.number("n") }
  }

  @Test func unknownFiltersAreNamed() throws {
    let query = Query("filters=%7B%22nope%22%3A%5B%22x%22%5D%7D")
    let error = #expect(throws: ApusError.self) { try query.filters(accepted: ["name"]) }
    #expect(error?.message == "invalid filter 'nope'")
    #expect(throws: ApusError.self) { try Query("filters=%7B").filters(accepted: []) }
  }

  @Test(arguments: ErrorCode.allCases)
  func everyErrorHasItsStatus(code: ErrorCode) {
    let expected: [ErrorCode: Int] = [
      .notFound: 404, .conflict: 409, .invalidArgument: 400, .unsupported: 501, .resourceExhausted: 500,
      .permissionDenied: 403, .unavailable: 503, .deadlineExceeded: 504, .internal: 500,
    ]
    #expect(ErrorTable.status(ApusError(code, "x")).code == expected[code])
  }

  @Test func aWrongTypeIsRefusedWithItsField() throws {
    let error = #expect(throws: DecodingError.self) {
      try decoded(ContainerCreateRequest.self, #"{"Image":"i","HostConfig":{"Memory":"much"}}"#)
    }
    #expect(error?.sentence == "the field HostConfig.Memory of the request body has the wrong JSON type")
    let list = #expect(throws: DecodingError.self) {
      try decoded(ContainerCreateRequest.self, #"{"Env":[1]}"#)
    }
    #expect(list?.sentence == "the field Env.[0] of the request body has the wrong JSON type")
    let broken = #expect(throws: DecodingError.self) { try decoded(ExecStartRequest.self, "{") }
    #expect(broken?.sentence == "invalid JSON: the request body cannot be read")
  }

  @Test func credentialsComeFromTheHeader() throws {
    let header = "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InB-fiJ9"
    let credentials = try Registry.RegistryCredentials(header: header)
    #expect(credentials?.username == "u")
    #expect(credentials?.password == "p~~")
    #expect(try Registry.RegistryCredentials(header: nil) == nil)
    #expect(try Registry.RegistryCredentials(header: "e30=") == nil)
    #expect(throws: ApusError.self) { try Registry.RegistryCredentials(header: "???") }
  }

  @Test func datesAreThoseOfHTTP() {
    #expect(HTTPDate.string(Date(timeIntervalSince1970: 784_111_777)) == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(HTTPDate.string(Date(timeIntervalSince1970: 0)) == "Thu, 01 Jan 1970 00:00:00 GMT")
  }
}

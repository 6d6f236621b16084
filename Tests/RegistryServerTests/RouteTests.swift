import Testing

@testable import RegistryServer

@Suite struct RouteTests {
  private static let hex = String(repeating: "a", count: 64)

  @Test(arguments: [
    ("/v2/", Route.base), ("/v2", .base), ("/v2/_catalog", .catalog),
    ("/v2/a/tags/list", .tags(name: "a")), ("/v2/a/b/c/tags/list", .tags(name: "a/b/c")),
    ("/v2/a/b/manifests/1.0", .manifest(name: "a/b", reference: "1.0")),
    ("/v2/a/manifests/sha256%3A\(hex)", .manifest(name: "a", reference: "sha256:\(hex)")),
    ("/v2/a/b/blobs/sha256:\(hex)", .blob(name: "a/b", digest: "sha256:\(hex)")),
    ("/v2/a/b/blobs/uploads/", .uploads(name: "a/b")), ("/v2/a/b/blobs/uploads", .uploads(name: "a/b")),
    ("/v2/a/b/blobs/uploads/x-y", .upload(name: "a/b", identifier: "x-y")),
    ("/v2/a/referrers/sha256:\(hex)", .referrers(name: "a", digest: "sha256:\(hex)")),
    // Names may be made of the words of the API.
    ("/v2/blobs/uploads/tags/list", .tags(name: "blobs/uploads")),
    ("/v2/manifests/manifests/manifests", .manifest(name: "manifests", reference: "manifests")),
  ])
  func reads(path: String, expected: Route) throws {
    #expect(try Route(path) == expected)
  }

  @Test(arguments: [
    "", "/", "/v1/search", "/v2/a", "/v2/a/b", "/v2//tags/list", "/v2/A/tags/list", "/v2/../x/tags/list",
    "/v2/a/../b/manifests/1", "/v2/a/%2e%2e/manifests/1", "/v2/a%00b/tags/list", "/v2/_a/tags/list", "/v2/a/blobs",
    "/v2/a/uploads/x", "/v2/%zz/tags/list", "/v2/a//blobs/uploads/",
    "/v2/" + String(repeating: "a/", count: 200) + "tags/list",
  ])
  func refuses(path: String) {
    #expect(throws: Problem.self) { try Route(path) }
  }

  @Test func decodesQueries() {
    let query = Query("mount=sha256%3Aaa&from=a%2Fb&tag=1&tag=2&empty&x=a+b")
    #expect(query["mount"] == "sha256:aa")
    #expect(query["from"] == "a/b")
    #expect(query.all("tag") == ["1", "2"])
    #expect(query["empty"] == "")
    #expect(query["x"] == "a b")
    #expect(query["none"] == nil)
  }
}

@Suite struct ByteRangeTests {
  @Test(
    arguments: [
      (nil, .whole), ("bytes=0-4", .part(0..<5)), ("bytes=5-", .part(5..<10)), ("bytes=9-100", .part(9..<10)),
      ("bytes=-3", .part(7..<10)), ("bytes=-100", .part(0..<10)), ("bytes=10-", .unsatisfiable),
      ("bytes=-0", .unsatisfiable), ("bytes=4-2", .whole), ("bytes=0-1,3-4", .whole), ("lines=0-1", .whole),
      ("bytes=a-b", .whole), ("bytes=", .whole), ("bytes=-", .whole), ("bytes=-5-", .whole),
      ("bytes=0-\(Int64.max)", .whole), ("bytes=99999999999999999999-", .whole),
    ] as [(String?, ByteRange)])
  func reads(header: String?, expected: ByteRange) {
    #expect(ByteRange(header, size: 10) == expected)
  }

  @Test func readsChunks() throws {
    let range = try #require(ChunkRange("5-9"))
    #expect(range.start == 5)
    #expect(range.count == 5)
    #expect(ChunkRange("bytes 5-9/100") == range)
    for text in ["", "5", "5-", "-5", "9-5", "a-b", "0-\(Int64.max)", "0-1-2"] { #expect(ChunkRange(text) == nil) }
  }
}

import Testing

@testable import apus

@Suite("JSON values") struct JSONTests {
  private func read(_ text: String) throws -> JSON { try JSONReader.read(Array(text.utf8)) }

  @Test("keeps the order of members and the spelling of numbers")
  func roundTrip() throws {
    let text = #"{"b":1.50,"a":[true,null,-3e2],"c":{"d":"x\ny \"q\" é"}}"#
    #expect(try read(text).text() == text)
  }

  @Test("escapes, also of characters beyond the first plane")
  func escapes() throws {
    #expect(try read(#""\u00e9\ud83d\ude00\t\/""#) == "é😀\t/")
    #expect(try read(#""\ud83d""#) == "\u{FFFD}")
    #expect(JSON.string("\u{1}").text() == #""\u0001""#)
  }

  @Test("indents as Docker does")
  func indented() throws {
    #expect(
      try read(#"{"a":[1],"b":{},"c":[]}"#).text(.indented)
        == "{\n    \"a\": [\n        1\n    ],\n    \"b\": {},\n    \"c\": []\n}")
  }

  @Test(
    "refuses what is not JSON",
    arguments: [
      "", "{", "[1,", "tru", "\"a", "{\"a\"}", "1 2", "{a:1}", "[1}", "\"\\x\"", "--1",
      String(repeating: "[", count: 1000),
    ])
  func refused(text: String) {
    #expect(throws: (any Error).self) { try read(text) }
  }
}

@Suite("Base64") struct Base64Tests {
  @Test("both ways", arguments: ["", "a", "ab", "abc", "abcd", "\u{FF}\u{FE}?>"])
  func roundTrip(text: String) {
    let bytes = Array(text.utf8)
    #expect(Base64.decode(Base64.encode(bytes)) == bytes)
  }

  @Test("known values")
  func known() {
    #expect(Base64.encode(Array("user:pass".utf8)) == "dXNlcjpwYXNz")
    #expect(Base64.encode([0xFB, 0xFF], urlSafe: true) == "-_8=")
    #expect(Base64.decode("!") == nil)
  }
}

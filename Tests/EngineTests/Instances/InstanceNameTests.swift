import Errors
import Testing

@testable import Engine

@Suite struct InstanceNameTests {
  @Test(arguments: ["web", "/web", "a1", "A_b.c-d", "0x"])
  func takesValidNames(_ name: String) throws {
    #expect(try InstanceName.validated(name) == (name.hasPrefix("/") ? String(name.dropFirst()) : name))
  }

  @Test(arguments: [
    "", "a", "-ab", "_ab", ".ab", "a b", "a/b", "//ab", "ä1", "a\u{0}b", String(repeating: "a", count: 254),
  ])
  func refusesOthers(_ name: String) {
    #expect(throws: ApusError.self) { try InstanceName.validated(name) }
  }

  @Test func generatedNamesAreValid() throws {
    for attempt in 0..<200 {
      let name = InstanceName.generated(attempt: attempt % 10)
      #expect(try InstanceName.validated(name) == name)
    }
  }

  @Test func identifiersAreSixtyFourHexDigits() {
    var seen: Set<String> = []
    for _ in 0..<200 {
      let id = InstanceName.newIdentifier()
      #expect(id.utf8.count == 64)
      #expect(id.allSatisfy { $0.isHexDigit && !$0.isUppercase })
      #expect(id.prefix(12).contains { !$0.isNumber })
      seen.insert(id)
    }
    #expect(seen.count == 200)
  }
}

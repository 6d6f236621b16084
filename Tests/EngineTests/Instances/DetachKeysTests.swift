import Errors
import Testing

@testable import Engine

@Suite struct DetachKeysTests {
  @Test func standardSequenceDetaches() throws {
    var keys = try DetachKeys(nil)
    let (output, detached) = keys.scan([0x61, 0x10, 0x11, 0x62])
    #expect(output == [0x61])
    #expect(detached)
  }

  @Test func sequenceMayArriveInPieces() throws {
    var keys = try DetachKeys("")
    #expect(keys.scan([0x61, 0x10]).output == [0x61])
    #expect(keys.scan([0x11]).detached)
  }

  @Test func whatDoesNotCompleteItPassesOn() throws {
    var keys = try DetachKeys(nil)
    #expect(keys.scan([0x10]).output.isEmpty)
    let (output, detached) = keys.scan([0x62])
    #expect(output == [0x10, 0x62])
    #expect(!detached)
    // The first key twice, then the second: the second one of the first keys begins the sequence.
    let again = keys.scan([0x10, 0x10, 0x11])
    #expect(again.output == [0x10])
    #expect(again.detached)
  }

  @Test func overlappingPrefixesAreFound() throws {
    var keys = try DetachKeys("a,a,b")
    let (output, detached) = keys.scan(Array("aaab".utf8))
    #expect(output == Array("a".utf8))
    #expect(detached)
    var other = try DetachKeys("a,b,a,c")
    let result = other.scan(Array("ababac".utf8))
    #expect(result.output == Array("ab".utf8))
    #expect(result.detached)
  }

  @Test func parsesControlKeys() throws {
    #expect(try DetachKeys("ctrl-a").sequence == [1])
    #expect(try DetachKeys("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_").sequence == [0, 27, 28, 29, 30, 31])
    #expect(try DetachKeys("x,ctrl-z").sequence == [0x78, 26])
  }

  @Test(arguments: ["ctrl-A", "ctrl-", "ab", "a,,b", "ctrl-1", String(repeating: "a,", count: 20) + "a"])
  func refusesWhatIsNoKey(_ text: String) {
    #expect(throws: ApusError.self) { try DetachKeys(text) }
  }
}

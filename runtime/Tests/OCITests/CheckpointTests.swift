import Errors
import Testing

@testable import apus_runtime

@Suite struct ProtobufTests {
  @Test func whatIsWrittenIsRead() throws {
    var inner = ProtobufWriter()
    inner.write(1, 300)
    var writer = ProtobufWriter()
    writer.write(1, 6)
    writer.write(2, inner.bytes)
    writer.write(51, "a")
    #expect(writer.bytes == [8, 6, 18, 3, 8, 0xac, 2, 0x9a, 3, 1, 0x61])
    let fields = try ProtobufReader.fields(writer.bytes[...])
    #expect(fields[1]?.number == 6)
    #expect(try ProtobufReader.fields(fields[2]?.bytes ?? [])[1]?.number == 300)
    #expect(fields[51].map { Array($0.bytes) } == [0x61])
    // Fields that mean nothing here are passed over.
    #expect(try ProtobufReader.fields([9, 1, 2, 3, 4, 5, 6, 7, 8, 13, 1, 2, 3, 4, 16, 1]) == [2: .init(number: 1)])
  }

  @Test(arguments: [
    [8], [8, 0x80], [18, 5, 1], [9, 1], [13, 1], [11], [18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    [8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
  ])
  func whatIsBrokenIsRefused(bytes: [UInt8]) {
    #expect(throws: ApusError.self) { try ProtobufReader.fields(bytes[...]) }
  }
}

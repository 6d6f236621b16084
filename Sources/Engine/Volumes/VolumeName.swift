import Errors

/// Names of volumes become directory names: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
enum VolumeName {
  /// - Throws: `invalidArgument` with Docker's sentences.
  static func check(_ name: String) throws(ApusError) {
    guard name.utf8.count >= 2 else {
      throw ApusError(
        .invalidArgument, "volume name is too short, names should be at least two alphanumeric characters")
    }
    guard name.utf8.count <= 255, isAlphanumeric(name.utf8.first),
      name.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 0x5f || $0 == 0x2e || $0 == 0x2d })
    else {
      throw ApusError(
        .invalidArgument,
        "\"\(name.prefix(260))\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" "
          + "are allowed. If you intended to pass a host directory, use absolute path")
    }
  }

  private static func isAlphanumeric(_ byte: UInt8?) -> Bool {
    guard let byte else { return false }
    return (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
  }

  /// A name for a volume nobody named: 64 hex digits.
  static func anonymous() -> String {
    let digits = Array("0123456789abcdef".utf8)
    var generator = SystemRandomNumberGenerator()
    var text: [UInt8] = []
    text.reserveCapacity(64)
    for _ in 0..<4 {
      var word = generator.next()
      for _ in 0..<16 {
        text.append(digits[Int(word & 15)])
        word >>= 4
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}

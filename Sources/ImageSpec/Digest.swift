import Errors

/// A content digest, `sha256:<64 lower-case hex digits>` or `sha512:<128>` (OCI image-spec, "Digests").
///
/// Always well-formed: a value can only be made through validation, so a digest may be used as a file name.
public struct Digest: Hashable, Sendable, Codable, LosslessStringConvertible, Comparable {
  public enum Algorithm: String, Sendable, CaseIterable {
    case sha256, sha512
    /// Hex digits of one digest.
    public var hexLength: Int { self == .sha256 ? 64 : 128 }
  }

  public let algorithm: Algorithm
  /// Lower-case hex, without the algorithm.
  public let hex: String

  /// The digest from its hash: 32 bytes are SHA-256, 64 are SHA-512.
  public init?(bytes: some Sequence<UInt8>) {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    guard let algorithm = Algorithm.allCases.first(where: { $0.hexLength == text.count }) else { return nil }
    self.algorithm = algorithm
    hex = String(decoding: text, as: UTF8.self)
  }

  public init?(algorithm: Algorithm, hex: some StringProtocol) {
    guard hex.utf8.count == algorithm.hexLength else { return nil }
    for byte in hex.utf8 where !(0x30...0x39).contains(byte) && !(0x61...0x66).contains(byte) { return nil }
    self.algorithm = algorithm
    self.hex = String(hex)
  }

  public init?(_ description: String) {
    guard let colon = description.firstIndex(of: ":"),
      let algorithm = Algorithm(rawValue: String(description[..<colon]))
    else { return nil }
    self.init(algorithm: algorithm, hex: description[description.index(after: colon)...])
  }

  /// - Throws: `invalidArgument`, naming the text.
  public init(parsing text: String) throws(ApusError) {
    guard let digest = Digest(text) else {
      throw ApusError(.invalidArgument, "invalid digest '\(text.prefix(140))': expected sha256:<64 hex digits>")
    }
    self = digest
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let digest = Digest(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text.prefix(140))' is no digest")
    }
    self = digest
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }

  public var description: String { "\(algorithm.rawValue):\(hex)" }

  /// The first twelve hex digits, as lists of images show them.
  public var short: String { String(hex.prefix(12)) }

  public static func < (left: Digest, right: Digest) -> Bool {
    left.algorithm == right.algorithm ? left.hex < right.hex : left.algorithm.rawValue < right.algorithm.rawValue
  }
}

import Errors

/// Names and ids of instances.
enum InstanceName {
  /// `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, a leading slash dropped; Docker's rule and wording.
  static func validated(_ name: String) throws -> String {
    let plain = name.hasPrefix("/") ? name.dropFirst() : name[...]
    let bytes = plain.utf8
    let valid =
      bytes.count >= 2 && bytes.count <= 253
      && bytes.first.map(isAlphanumeric) == true
      && bytes.allSatisfy {
        isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
      }
    guard valid else {
      throw ApusError(
        .invalidArgument, "Invalid container name (\(name)), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    }
    return String(plain)
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
      || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  /// A name nobody chose: `adjective_star`; after a few collisions a digit is added.
  static func generated(attempt: Int = 0) -> String {
    let adjective = adjectives[Int.random(in: 0..<adjectives.count)]
    let star = stars[Int.random(in: 0..<stars.count)]
    return attempt < 6 ? "\(adjective)_\(star)" : "\(adjective)_\(star)\(Int.random(in: 0..<1_000_000))"
  }

  /// 64 random hex digits. Never all decimal in the first twelve, so that a short id is not mistaken for a number.
  static func newIdentifier() -> String {
    let digits = Array("0123456789abcdef".utf8)
    while true {
      var generator = SystemRandomNumberGenerator()
      let id = String(unsafeUninitializedCapacity: 64) { buffer in
        for word in 0..<4 {
          var bits: UInt64 = generator.next()
          for position in 0..<16 {
            buffer[word * 16 + position] = digits[Int(bits & 15)]
            bits >>= 4
          }
        }
        return 64
      }
      if id.utf8.prefix(12).contains(where: { $0 > UInt8(ascii: "9") }) { return id }
    }
  }

  private static let adjectives = [
    "amber", "ample", "apt", "astute", "blithe", "bold", "brave", "bright", "brisk", "calm", "candid", "cheery",
    "civil", "clear", "clever", "cordial", "cosy", "crisp", "curious", "daring", "deft", "eager", "earnest", "easy",
    "fair", "fleet", "fond", "frank", "free", "gentle", "glad", "golden", "grand", "hale", "hardy", "honest", "humble",
    "jolly", "keen", "kind", "lively", "loyal", "lucid", "mellow", "merry", "mild", "modest", "neat", "nimble", "noble",
    "patient", "placid", "plucky", "proud", "quick", "quiet", "ready", "serene", "sharp", "silent", "snug", "solid",
    "spry", "steady", "still", "stout", "sturdy", "subtle", "sunny", "swift", "tender", "tidy", "trusty", "upbeat",
    "vivid", "warm", "wise", "witty", "zealous",
  ]

  private static let stars = [
    "achernar", "acrux", "adhara", "albireo", "alcor", "alcyone", "aldebaran", "algol", "alioth", "alkaid", "alnair",
    "alnilam", "alphard", "altair", "ankaa", "antares", "arcturus", "atria", "avior", "bellatrix", "betelgeuse",
    "canopus", "capella", "caph", "castor", "deneb", "denebola", "diphda", "dubhe", "electra", "elnath", "enif",
    "fomalhaut", "gacrux", "hadar", "hamal", "izar", "kochab", "maia", "markab", "megrez", "menkar", "merak", "merope",
    "mimosa", "mira", "mirach", "mirfak", "mirzam", "mizar", "naos", "nunki", "phecda", "polaris", "pollux", "procyon",
    "rasalhague", "regulus", "rigel", "sabik", "sadr", "saiph", "scheat", "schedar", "shaula", "sirius", "spica",
    "suhail", "tarazed", "taygeta", "thuban", "vega", "wezen",
  ]
}

/// The argument of `--network-rate`: `ingress=10mbit,egress=500kbit`.
enum NetworkRate {
  private static let units = ["", "k", "m", "g", "t"]
  /// What the daemon reads ends at gbit.
  private static let largest = 3

  /// The options of an endpoint that set its rates.
  static func driverOptions(_ text: String) throws(UsageError) -> [String] {
    func mistake(_ why: String) -> UsageError { CreateRequest.failure("network-rate", text, why) }
    var options: [String] = []
    for field in FieldList.split(text) {
      let (key, value) = FieldList.pair(field)
      guard ["ingress", "egress"].contains(key), let value else {
        throw mistake("it wants ingress=RATE, egress=RATE or both, such as ingress=10mbit,egress=5mbit")
      }
      guard !options.contains(where: { $0.hasPrefix("apus.rate.\(key)=") }) else {
        throw mistake("it says \(key) twice")
      }
      guard let rate = rate(value) else {
        throw mistake("'\(value)' is not a rate, a number of bit, kbit, mbit, gbit or tbit a second")
      }
      options.append("apus.rate.\(key)=\(rate)")
    }
    return options
  }

  /// A whole number in the largest unit that has one: `1.5mbit` is `1500kbit`. Units are powers of 1000, as tc(8) has
  /// them; nil for what is not a rate, or nothing.
  static func rate(_ text: String) -> String? {
    let text = text.lowercased()
    let digits = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
    var unit = text.dropFirst(digits.count)
    if unit.hasSuffix("bit") { unit = unit.dropLast(3) }
    guard var value = Double(digits), var power = units.firstIndex(of: String(unit)) else { return nil }
    for _ in 0..<power { value *= 1000 }
    value = value.rounded()
    guard value >= 1, value < 1e16 else { return nil }
    var whole = Int64(value)
    power = 0
    while whole % 1000 == 0, power < largest {
      whole /= 1000
      power += 1
    }
    return "\(whole)\(units[power])bit"
  }
}

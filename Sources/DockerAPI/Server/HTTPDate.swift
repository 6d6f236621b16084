import DockerTypes
import FoundationEssentials

/// The `Date` header's form: `Sat, 21 Nov 2026 07:00:00 GMT`.
enum HTTPDate {
  private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  static func now() -> String { string(Date()) }

  static func string(_ date: Date) -> String {
    let seconds = GoTime.split(date).seconds
    // 2026-11-21T07:00:00Z
    let text = Array(GoTime.string(Date(timeIntervalSince1970: Double(seconds))).utf8)
    func part(_ range: Range<Int>) -> String { String(decoding: text[range], as: UTF8.self) }
    let month = months[(Int(part(5..<7)) ?? 1) - 1]
    let day = days[((seconds / 86_400) % 7 + 7) % 7]
    return "\(day), \(part(8..<10)) \(month) \(part(0..<4)) \(part(11..<19)) GMT"
  }
}

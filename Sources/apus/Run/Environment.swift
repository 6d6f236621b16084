import Glibc

extension ProcessOptions {
  /// A variable of this process.
  static let inherited: @Sendable (String) -> String? = { name in getenv(name).map { String(cString: $0) } }

  /// What `--env-file` and `--env` say, in that order.
  func environment(_ inherited: (String) -> String?) throws -> [String] {
    /// `KEY=VALUE` as it is, `KEY` with the value it has here, nothing when it has none.
    func resolved(_ text: String) -> String? {
      text.contains("=") ? text : inherited(text).map { "\(text)=\($0)" }
    }
    var result = try envFile.flatMap(SettingsFile.lines).compactMap(resolved)
    for text in env {
      guard !text.isEmpty, !text.hasPrefix("=") else {
        throw CreateRequest.failure("env", text, "it wants key=value")
      }
      if let value = resolved(text) { result.append(value) }
    }
    return result
  }
}

/// A file of settings, one to a line.
enum SettingsFile {
  /// Its lines without comments and empty ones.
  static func lines(_ path: String) throws -> [String] {
    String(decoding: try LocalFile.read(path), as: UTF8.self)
      .split(whereSeparator: \.isNewline)
      .map { String($0.drop { $0 == " " || $0 == "\t" }) }
      .filter { !$0.isEmpty && !$0.hasPrefix("#") }
  }
}

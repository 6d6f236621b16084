import Errors
import SandboxProtocol

extension LogConfiguration {
  /// Where and how much of the output is kept; nil with driver `none`.
  ///
  /// - Throws: `invalidArgument` for an unknown driver or option.
  public func target(path: String) throws(ApusError) -> LogTarget? {
    var target = LogTarget(path: path, maxSize: 0, maxFiles: 1)
    switch driver {
    case "none":
      return nil
    case "json-file", "": break
    case "local":
      // Docker's defaults for it; the file itself is the same here.
      target.maxSize = 20_000_000
      target.maxFiles = 5
    default:
      throw ApusError(.invalidArgument, "logger: no log driver named '\(driver)' is registered")
    }
    for (name, value) in options {
      switch name {
      case "max-size":
        guard let size = Self.bytes(value) else { throw ApusError(.invalidArgument, "invalid size: '\(value)'") }
        target.maxSize = max(0, size)
      case "max-file":
        guard let files = Int(value), files >= 1 else {
          throw ApusError(.invalidArgument, "max-file cannot be less than 1")
        }
        target.maxFiles = min(files, 1_000)
      // What they ask for is done anyway, or shows nowhere but in the records themselves.
      case "compress", "mode", "max-buffer-size", "labels", "labels-regex", "env", "env-regex", "tag",
        "cache-disabled", "cache-max-file", "cache-max-size", "cache-compress":
        break
      default:
        throw ApusError(
          .invalidArgument, "unknown log opt '\(name)' for \(driver.isEmpty ? "json-file" : driver) log driver")
      }
    }
    if target.maxSize == 0, target.maxFiles > 1 {
      throw ApusError(.invalidArgument, "max-file cannot be used without max-size")
    }
    return target
  }

  /// `10m`, `1.5GB`, `-1`: decimal units, as Docker reads the sizes of logs.
  static func bytes(_ text: String) -> Int64? {
    if text == "-1" { return -1 }
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    var unit = text[digits.endIndex...].lowercased().trimmed[...]
    if unit.hasSuffix("b") { unit = unit.dropLast() }
    guard let number = Double(digits), let power = ["": 0, "k": 1, "m": 2, "g": 3, "t": 4][String(unit)] else {
      return nil
    }
    let bytes = (0..<power).reduce(number) { value, _ in value * 1000 }
    return bytes < 9e18 ? Int64(bytes) : nil
  }
}

import DockerTypes
import Engine

extension ProgressMessage {
  init(_ progress: TransferProgress) {
    self.init()
    if let pushed = progress.pushed {
      // A client that wants to know what it pushed reads this one.
      progressDetail = ProgressDetail()
      var result = ProgressAux()
      result.tag = pushed.tag
      result.digest = pushed.digest.description
      result.size = Int(pushed.size)
      aux = result
      return
    }
    if let instead = progress.pushedInstead {
      progressDetail = ProgressDetail()
      var result = ProgressAux()
      result.manifestPushedInsteadOfIndex = true
      result.originalIndex = DescriptorSummary(instead.index)
      result.selectedManifest = DescriptorSummary(instead.manifest)
      aux = result
      return
    }
    id = progress.id
    status = progress.status
    if progress.current != nil || progress.total != nil {
      var detail = ProgressDetail()
      detail.current = progress.current.map { Int($0) }
      detail.total = progress.total.map { Int($0) }
      progressDetail = detail
      self.progress = Self.bar(current: progress.current ?? 0, total: progress.total ?? 0)
    } else if id != nil, !progress.isTitle {
      progressDetail = ProgressDetail()
    }
  }

  /// What a stream ends with when the operation fails.
  init(failure: String) {
    self.init()
    var detail = ProgressError()
    detail.message = failure
    errorDetail = detail
    error = failure
  }

  init(stream: String) {
    self.init()
    self.stream = stream
  }

  /// The bar that Docker's daemon draws for clients which do not draw themselves.
  static func bar(current: Int64, total: Int64) -> String? {
    if current <= 0, total <= 0 { return nil }
    guard total > 0 else { return padded(size(current)) }
    let filled = min(50, Int(Double(current) / Double(total) * 100) / 2)
    let bar = "[" + String(repeating: "=", count: filled) + ">" + String(repeating: " ", count: 50 - filled) + "] "
    return bar + (current > total ? padded(size(current)) : padded(size(current)) + "/" + size(total))
  }

  private static func padded(_ text: String) -> String {
    String(repeating: " ", count: max(0, 8 - text.utf8.count)) + text
  }

  /// Four significant digits and a decimal unit: `1.234MB`, `20.5kB`, `512B`.
  static func size(_ bytes: Int64) -> String {
    var value = Double(max(0, bytes))
    var unit = 0
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    while value >= 1000, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    let decimals = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3
    let scale = [1, 10, 100, 1000][decimals]
    let rounded = Int((value * Double(scale)).rounded())
    var text = String(rounded / scale)
    var fraction = String(rounded % scale)
    fraction = String(repeating: "0", count: max(0, decimals - fraction.count)) + fraction
    while fraction.last == "0" { fraction.removeLast() }
    if decimals > 0, !fraction.isEmpty { text += "." + fraction }
    return text + units[unit]
  }
}

import Errors

/// Shows what a streamed operation reports: on a terminal one line for each part, rewritten in place with a bar;
/// elsewhere a plain line whenever a part's status changes.
struct Progress {
  private let descriptor: Int32
  private let quiet: Bool
  private let live: Bool
  private let columns: Int
  private let rows: Int
  private var lines: [(id: String, text: String)] = []
  private var statuses: [String: String] = [:]
  private var drawnAt = 0.0
  private var drawn = 0
  private var dirty = false

  init(output descriptor: Int32, quiet: Bool) {
    self.descriptor = descriptor
    self.quiet = quiet
    let size = Console.size(of: descriptor)
    live = Console.isTerminal(descriptor) && size != nil
    columns = size?.columns ?? 80
    rows = size?.rows ?? 24
  }

  /// Takes one message of the stream.
  ///
  /// - Throws: the error that the message reports.
  mutating func show(_ message: JSON) throws {
    if let error = message["errorDetail"]["message"].string ?? message["error"].string {
      try finish()
      throw ExitStatus(status: 1, message: error)
    }
    if quiet { return }
    if let stream = message["stream"].string {
      return try printAbove(stream.hasSuffix("\n") ? String(stream.dropLast()) : stream)
    }
    guard let status = message["status"].string else { return }
    guard let id = message["id"].string, !id.isEmpty else { return try printAbove(status) }
    let detail = message["progressDetail"]
    if !live {
      // Every few kilobytes there is a message; on a log only the changes are worth a line.
      if statuses[id] == status { return }
      statuses[id] = status
      return try write("\(id): \(status)\n")
    }
    var text = "\(id): \(status)"
    if let current = detail["current"].int {
      text += " " + Self.bar(current: current, total: detail["total"].int ?? 0)
    }
    text = String(text.prefix(columns - 1))
    if let position = lines.firstIndex(where: { $0.id == id }) {
      lines[position].text = text
    } else {
      lines.append((id, text))
    }
    dirty = true
    let now = Clock.seconds()
    if now - drawnAt >= 0.05 { try draw(now) }
  }

  /// Leaves the last state on the screen.
  mutating func finish() throws {
    if dirty { try draw(Clock.seconds()) }
    lines = []
    drawn = 0
  }

  private mutating func printAbove(_ text: String) throws {
    try finish()
    try write(text + "\n")
  }

  private mutating func draw(_ now: Double) throws {
    var text = drawn > 0 ? "\u{1B}[\(drawn)A" : ""
    // Lines that scrolled away cannot be rewritten.
    let visible = lines.suffix(max(1, rows - 1))
    for line in visible { text += "\r\u{1B}[2K\(line.text)\n" }
    drawn = visible.count
    drawnAt = now
    dirty = false
    try write(text)
  }

  private func write(_ text: String) throws { try Console.write(Array(text.utf8)[...], to: descriptor) }

  static func bar(current: Int64, total: Int64, width: Int = 30) -> String {
    guard total > 0 else { return Humanize.size(current) }
    let filled = Int(min(1, Double(current) / Double(total)) * Double(width))
    let bar = String(repeating: "=", count: filled) + (filled < width ? ">" : "")
    return "[" + bar + String(repeating: " ", count: max(0, width - filled - 1)) + "] "
      + "\(Humanize.size(current))/\(Humanize.size(total))"
  }
}

import Errors

/// Turns what went wrong into one sentence, and an exit status.
enum Failure {
  /// Nil for what is not an error of this program's own.
  static func describe(_ error: any Error) -> (message: String?, status: Int32)? {
    switch error {
    case let error as ExitStatus: (error.message.map(sentence), error.status)
    case let error as UsageError: (sentence(error.message), 125)
    case let error as APIFailure: (sentence(error), 1)
    case let error as ApusError: (sentence(error.message), error.code == .unavailable ? 125 : 1)
    default: nil
    }
  }

  /// The daemon's sentence, with what to do where the daemon cannot know that.
  static func sentence(_ failure: APIFailure) -> String {
    let text = sentence(failure.message)
    guard failure.status == 404, text.hasSuffix(".") else { return text }
    if text.hasPrefix("No such container: ") { return "\(text.dropLast()); 'apus ps --all' lists what there is." }
    if text.hasPrefix("network "), text.hasSuffix(" not found.") {
      return "N\(text.dropFirst().dropLast()); 'apus network ls' lists what there is."
    }
    return text
  }

  /// Without space around it, and with a stop at its end.
  static func sentence(_ text: String) -> String {
    let trimmed = text.trimmingSpace()
    if trimmed.isEmpty { return "The daemon refused, and did not say why; see its log." }
    let last = trimmed.last ?? "."
    return trimmed + (".!?".contains(last) ? "" : ".")
  }
}

extension String {
  func trimmingSpace() -> String {
    var text = self[...].drop { $0.isWhitespace }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}

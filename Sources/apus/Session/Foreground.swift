import Errors
import Glibc

/// A container in the foreground: its streams are ours, signals go to it, its exit status becomes ours.
struct Foreground {
  let client: Client
  let id: String
  let terminal: Bool
  /// Of `stdin`, `stdout` and `stderr`.
  let streams: Set<String>
  let detachKeys: String?
  var proxiesSignals = true
  /// What `wait` waits for: `removed` where the daemon deletes the container afterwards.
  var condition = "next-exit"
  /// Starts the container once everything listens; nil when it runs already.
  var start: (() throws -> Void)?

  /// Returns the exit status.
  func run() throws -> Int32 {
    let hijack = try client.connect()
    let waiting = try client.connect()
    // Both are asked at once; each answers when it is ready, which is what start has to wait for.
    try client.send("POST", attachTarget, headers: Self.upgrade, body: nil, on: hijack)
    try client.send("POST", Target.container(id, "wait", [("condition", condition)]), on: waiting)
    _ = try client.accept(hijack)
    _ = try client.accept(waiting, method: "POST")

    // Signals that arrive before the program runs must not be lost to it.
    let signals = try SignalPipe(
      (proxiesSignals ? SignalPipe.proxied.map(\.number) : terminal ? SignalPipe.endings : [])
        + (terminal ? [SIGWINCH] : []))
    try start?()

    var session = StreamSession(
      stream: hijack, waiting: waiting, terminal: terminal, forwardsInput: streams.contains("stdin"))
    let raw = terminal && streams.contains("stdin") && Console.isTerminal(0) ? try RawTerminal(0) : nil
    defer { raw?.restore() }
    if raw != nil { session.keys = try DetachKeys(detachKeys ?? DetachKeys.standard) }
    session.signals = signals
    session.onSignal = { number in
      if number == SIGWINCH { return resize() }
      if proxiesSignals { return forward(number) }
      raw?.restore()
      exit(128 + number)
    }
    // The size may have changed since it was sent with the container's configuration, and older daemons ignore it there.
    if terminal { resize() }
    let ending = try session.run()
    raw?.restore()
    switch ending {
    case .detached: return 0
    case .ended(let body): return try Self.status(body)
    }
  }

  static let upgrade = [("Connection", "Upgrade"), ("Upgrade", "tcp")]

  private var attachTarget: String {
    Target.container(
      id, "attach",
      [("stream", "1"), ("detachKeys", detachKeys)]
        + ["stdin", "stdout", "stderr"].filter(streams.contains).map { ($0, "1") })
  }

  private func forward(_ number: Int32) {
    guard let name = SignalPipe.proxied.first(where: { $0.number == number })?.name else { return }
    // The container may have ended in the meantime; then there is nobody to tell.
    _ = try? client.request("POST", Target.container(id, "kill", [("signal", name)]))
  }

  private func resize() {
    guard let size = Console.size() ?? Console.size(of: 0) else { return }
    _ = try? client.request(
      "POST", Target.container(id, "resize", [("h", String(size.rows)), ("w", String(size.columns))]))
  }

  private static func status(_ body: [UInt8]) throws -> Int32 {
    let answer = try JSONReader.read(body)
    if let message = answer["Error"]["Message"].string, !message.isEmpty {
      throw ExitStatus(status: 125, message: message)
    }
    guard let status = answer["StatusCode"].int else {
      throw ApusError(.unavailable, "The daemon did not say how the container ended.")
    }
    return Int32(truncatingIfNeeded: status)
  }
}

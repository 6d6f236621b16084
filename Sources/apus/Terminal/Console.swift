import Errors
import Glibc

/// Standard input, output and error, and the terminal they may be.
enum Console {
  static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

  /// Rows and columns, when `descriptor` is a terminal that knows.
  static func size(of descriptor: Int32 = 1) -> (rows: Int, columns: Int)? {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0, size.ws_col > 0 else { return nil }
    return (Int(size.ws_row), Int(size.ws_col))
  }

  static func print(_ text: String) throws(ApusError) { try write(Array(text.utf8)[...], to: 1) }

  static func printLine(_ text: String) throws(ApusError) { try print(text + "\n") }

  /// A line on standard error.
  static func warn(_ text: String) { _ = try? write(Array((text + "\n").utf8)[...], to: 2) }

  /// Writes everything. A reader that left (`apus logs | head`) ends the program quietly, as SIGPIPE would.
  static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) throws(ApusError) {
    var rest = bytes
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { buffer in
        retrying { Glibc.write(descriptor, buffer.baseAddress, buffer.count) }
      }
      if count < 0 {
        if errno == EAGAIN {
          // The terminal may be shared with a program that made it non-blocking.
          var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          poll(&wait, 1, -1)
          continue
        }
        throw LocalFile.failure("write to", descriptor == 2 ? "standard error" : "standard output")
      }
      rest = rest.dropFirst(count)
    }
  }

  /// What the user answers to a yes-or-no question; no without a terminal to ask on.
  static func confirm(_ question: String) throws -> Bool {
    try print(question + " [y/N] ")
    guard let line = readLine() else { return false }
    return ["y", "yes"].contains(line.lowercased())
  }
}

/// A terminal in raw mode: keys reach the program in the container, unedited. Restored by `restore`, which runs on
/// every way out.
final class RawTerminal {
  private let descriptor: Int32
  private var saved: termios?

  /// - Throws: when the descriptor is no terminal.
  init(_ descriptor: Int32) throws(ApusError) {
    self.descriptor = descriptor
    var mode = termios()
    guard tcgetattr(descriptor, &mode) == 0 else { throw LocalFile.failure("set up", "the terminal") }
    saved = mode
    cfmakeraw(&mode)
    tcsetattr(descriptor, TCSANOW, &mode)
  }

  func restore() {
    guard var mode = saved else { return }
    tcsetattr(descriptor, TCSANOW, &mode)
    saved = nil
  }

  deinit { restore() }
}

import ArgumentParser
import Errors
import Glibc

/// How a command that fails ends.
enum CommandFailure {
  /// Runs a command; what it throws becomes one line for the user.
  /// - Throws: the exit status 1 in its place.
  static func reported(_ body: () throws(ApusError) -> Void) throws(ExitCode) {
    do throws(ApusError) {
      try body()
    } catch {
      let line = Array("apusd: \(error.message)\n".utf8)
      _ = write(STDERR_FILENO, line, line.count)
      throw ExitCode(1)
    }
  }
}

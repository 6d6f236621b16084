import Errors
import Glibc

/// A connection that is made before the arguments are read, with a ping on it: reading them takes a millisecond or two
/// (docs/decisions/0020), in which the daemon, asleep on another processor until then, wakes up and takes the connection.
///
/// Only for commands whose time people notice, and that always need the daemon. What goes wrong here is nobody's
/// business: the command makes its connection itself then, and says what is wrong with it.
enum EarlyConnection {
  private static let commands: Set<String> = ["run", "exec", "start", "create"]
  // Only ever used by the program's one thread.
  nonisolated(unsafe) private static var made: (path: String, connection: Connection)?

  /// - Parameter words: the arguments. With an address among them it is not known yet where to connect.
  static func make(for words: [String]) {
    guard let command = words.first, commands.contains(command),
      !words.contains(where: { $0.hasPrefix("-H") || $0.hasPrefix("--host") || $0 == "--help" }),
      let endpoint = try? Endpoint.resolve(host: nil, environment: getenv("APUS_HOST").map { String(cString: $0) }),
      let socket = try? Socket(path: endpoint.path)
    else { return }
    let connection = Connection(socket: socket)
    if (try? connection.send("GET", "/_ping")) != nil { made = (endpoint.path, connection) }
  }

  /// The connection, once, if it leads to `path` and works.
  static func take(_ path: String) -> Connection? {
    guard let made, made.path == path else { return nil }
    self.made = nil
    guard (try? made.connection.receiveHead())?.status == 200, (try? made.connection.receiveBody()) != nil else {
      return nil
    }
    return made.connection
  }
}

import Errors

/// One request for each of several objects, several under way at a time; names are printed in the order given.
struct EachObject {
  let client: Client
  private static let width = 16

  /// Sends `method target(name)` for each name and prints `shown` of each that succeeded.
  ///
  /// - Throws: status 1 at the end when one failed; each failure is a line on standard error.
  func run(
    _ names: [String], _ method: String, body: JSON? = nil, target: (String) -> String,
    shown: (String, JSON) -> String? = { name, _ in name }, failed: (String, APIFailure) -> Bool = { _, _ in false }
  ) throws {
    var status: Int32 = 0
    var rest = names[...]
    while !rest.isEmpty {
      let batch = rest.prefix(Self.width)
      rest = rest.dropFirst(batch.count)
      var connections: [Connection] = []
      for name in batch {
        let connection = try client.connect()
        try client.send(method, target(name), body: body, on: connection)
        connections.append(connection)
      }
      for (name, connection) in zip(batch, connections) {
        do {
          _ = try client.accept(connection, method: method)
          let answer = try client.answer(on: connection)
          if let text = shown(name, answer) { try Console.printLine(text) }
        } catch let failure as APIFailure {
          if failed(name, failure) { continue }
          Console.warn("apus: " + Failure.sentence(failure))
          status = 1
        }
      }
    }
    try ExitStatus.end(status)
  }
}

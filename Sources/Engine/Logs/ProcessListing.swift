import Errors
import Glibc
import Linux
import SandboxProtocol

/// The host's ps(1), asked about some processes (Docker's `GET /containers/{id}/top`).
enum ProcessListing {
  private static let outputLimit = 16 << 20
  private static let errorLimit = 4096

  /// - Parameters:
  ///   - text: arguments of ps, separated by spaces; empty: `-ef`.
  ///   - pids: whose lines are wanted.
  /// - Throws: `invalidArgument` where ps does not like its arguments, or prints no PID.
  static func table(_ text: String, pids: [Int32]) throws(ApusError) -> ProcessTable {
    let text = text.trimmed.isEmpty ? "-ef" : text
    try checkArguments(text)
    let arguments = text.split(separator: " ").map(String.init)
    let list = "-q" + pids.map(String.init).joined(separator: ",")
    // Some options (f, say) exclude -q: then everything is listed and ours are picked out.
    if let output = try? run(arguments + [list]) { return try parse(output, pids: Set(pids)) }
    return try parse(try run(arguments), pids: Set(pids))
  }

  /// A column may not be called PID unless it is that: `-o user=PID` would let other processes' lines pass for ours.
  static func checkArguments(_ text: String) throws(ApusError) {
    let words = text.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\n" })
    for (index, word) in words.enumerated() {
      guard let equals = word.firstIndex(of: "=") else { continue }
      var value = word[word.index(after: equals)...]
      if value.isEmpty, index + 1 < words.count { value = words[index + 1] }
      let columns = word[..<equals].split(separator: ",", omittingEmptySubsequences: false)
      guard let column = columns.last, value.hasPrefix("PID"), column != "pid", column != "-opid" else { continue }
      throw ApusError(.invalidArgument, "specifying \"\(word[..<equals])=\(value)\" is not allowed")
    }
  }

  static func parse(_ output: String, pids: Set<Int32>) throws(ApusError) -> ProcessTable {
    let lines = output.split(separator: "\n")
    let titles = fields(lines.first ?? "")
    guard let column = titles.firstIndex(of: "PID") else {
      throw ApusError(.invalidArgument, "Couldn't find PID field in ps output")
    }
    var table = ProcessTable(titles: titles, rows: [])
    // Lines of threads (option m) follow their process's and have no number of their own.
    var ours = false
    for line in lines.dropFirst() {
      let words = fields(line)
      guard words.count > column else { continue }
      if words[column] != "-" {
        guard let pid = Int32(words[column]) else {
          throw ApusError(.internal, "Unexpected pid '\(words[column])' in ps output")
        }
        ours = pids.contains(pid)
      }
      guard ours else { continue }
      // What is more than there are titles belongs to the last: a command with its arguments.
      let last = titles.count - 1
      var row = Array(words.prefix(last))
      row.append(words.dropFirst(last).joined(separator: " "))
      table.rows.append(row)
    }
    return table
  }

  private static func fields(_ line: Substring) -> [String] {
    line.split(whereSeparator: { " \t\u{0c}\r".contains($0) }).map(String.init)
  }

  private static func run(_ arguments: [String]) throws(ApusError) -> String {
    guard let program = ["/usr/bin/ps", "/bin/ps"].first(where: Files.exists) else {
      throw ApusError(.unsupported, "ps is not installed on this host, and top needs it: install procps")
    }
    let output = try Pipe()
    let errors = try Pipe()
    let null = try Files.open("/dev/null", flags: O_RDWR)
    let (text, complaint, process) = try exchange(
      program, arguments, null: null, output: output.readEnd, outputTarget: output.writeEnd, errors: errors.readEnd,
      errorTarget: errors.writeEnd)
    guard let status = try Processes.wait(for: process), status.code == 0 else {
      let line = String(decoding: complaint, as: UTF8.self).split(separator: "\n").first ?? "ps failed"
      throw ApusError(.invalidArgument, "ps: \(line)")
    }
    return String(decoding: text, as: UTF8.self)
  }

  private static func exchange(
    _ program: String, _ arguments: [String], null: borrowing OwnedDescriptor, output: consuming OwnedDescriptor,
    outputTarget: consuming OwnedDescriptor, errors: consuming OwnedDescriptor, errorTarget: consuming OwnedDescriptor
  ) throws(ApusError) -> (text: [UInt8], complaint: [UInt8], process: pid_t) {
    let process = try Spawn.process(
      program, arguments: ["ps"] + arguments, environment: ["PATH=/usr/bin:/bin", "LC_ALL=C"],
      descriptors: [(null.raw, 0), (outputTarget.raw, 1), (errorTarget.raw, 2)])
    // Ours, or the ends never come.
    _ = consume outputTarget
    _ = consume errorTarget
    do {
      let text = try Files.read(descriptor: output.raw, limit: outputLimit, name: "the output of ps")
      // It says little here, which fits the pipe while the output is read.
      let complaint = (try? Files.read(descriptor: errors.raw, limit: errorLimit, name: "the output of ps")) ?? []
      return (text, complaint, process)
    } catch {
      _ = try? Processes.send(signal: SIGKILL, toProcess: process)
      _ = try? Processes.wait(for: process)
      throw error
    }
  }
}

extension Instance {
  /// The instance's processes as the host's ps shows them, with ps's own arguments.
  ///
  /// - Throws: `conflict` where it does not run, `invalidArgument` for what ps does not like.
  public func top(_ psArguments: String) async throws -> ProcessTable {
    guard isUp, let sandbox else { throw ApusError(.conflict, "container \(id) is not running") }
    let reply = try await sandbox.connection.request(.processes)
    let pids = try ProcessList(json: reply, subject: "The shim's answer").pids
    let table = try await services.blocking.run { try ProcessListing.table(psArguments, pids: pids) }
    publish("top")
    return table
  }
}

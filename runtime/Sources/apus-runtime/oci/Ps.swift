import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

extension Command {
  static let ps = Command(
    name: "ps", summary: "ps displays the processes running inside a container",
    usage: "<container-id> [ps options]",
    options: [Option("format", "f", "select one of: table or json (default: \"table\")")], arguments: 1...Int.max,
    optionsAnywhere: false
  ) { (invocation) throws(ApusError) in
    let stored = try StoredContainer(invocation.id, root: invocation.global.root)
    // The group's, which can outlive the first process; without a group, whoever is with that process.
    let cgroups = try stored.record.cgroups
    var processes = try cgroups.processes(stored.record.cgroupPath).sorted()
    if cgroups.version == 0, try stored.status() != .stopped { processes = try stored.open().processes().sorted() }
    switch invocation.options.value("format") ?? "table" {
    case "json":
      var writer = JSONWriter()
      processes.write(to: &writer)
      say(String(decoding: writer.bytes, as: UTF8.self) + "\n")
    case "table":
      let arguments = invocation.options.arguments.count > 1 ? Array(invocation.options.arguments.dropFirst()) : ["-ef"]
      say(try select(processes, from: output(of: "ps", arguments)))
    default: throw ApusError(.invalidArgument, "invalid format option")
    }
    return 0
  }

  /// The headline, and the lines whose column PID is one of `processes`.
  static func select(_ processes: [pid_t], from listing: String) throws(ApusError) -> String {
    let lines = listing.split(separator: "\n")
    func fields(_ line: Substring) -> [Substring] { line.split { $0 == " " || $0 == "\t" } }
    guard let headline = lines.first, let column = fields(headline).firstIndex(of: "PID") else {
      throw ApusError(.invalidArgument, "couldn't find PID field in ps output")
    }
    let wanted = Set(processes)
    let selected = lines.dropFirst().filter { line in
      let fields = fields(line)
      return fields.count > column && pid_t(fields[column]).map { wanted.contains($0) } ?? false
    }
    return ([headline] + selected).map { "\($0)\n" }.joined()
  }

  private static func output(of program: String, _ arguments: [String]) throws(ApusError) -> String {
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
    let candidates = path.split(separator: ":").map { "\($0)/\(program)" }
    guard let found = candidates.first(where: { access($0, X_OK) == 0 }) else {
      throw ApusError(.notFound, "cannot find \(program) on this host")
    }
    var pipe = try Pipe()
    let process = try Spawn.process(
      found, arguments: [program] + arguments, environment: ["PATH=\(path)"],
      descriptors: [(ours: pipe.writeEnd.raw, theirs: 1), (ours: 2, theirs: 2)])
    pipe.writeEnd = OwnedDescriptor(owning: -1)
    let bytes = try Files.read(descriptor: pipe.readEnd.raw, limit: 64 << 20, name: "the output of \(program)")
    guard try Processes.wait(for: process)?.code == 0 else {
      throw ApusError(.invalidArgument, "\(program) \(arguments.joined(separator: " ")) failed")
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

import ArgumentParser
import Errors
import Glibc

struct CpCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "cp", abstract: "Copy files between a container and this machine.",
    usage: """
      apus cp [<options>] <container>:<path> <path>|-
      apus cp [<options>] <path>|- <container>:<path>
      """,
    discussion: """
      apus cp web:/etc/nginx/nginx.conf .
      apus cp ./site/. web:/srv/www
      apus cp web:/var/log - | tar -t
      """)
  static let flags = "archive a follow-link L quiet q"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Keep owners.")
  var archive = false
  @Flag(name: [.customShort("L"), .long], help: "Copy what a link points to.")
  var followLink = false
  @Flag(name: .shortAndLong, help: "Say nothing.")
  var quiet = false
  @Argument(completion: .file())
  var source: String
  @Argument(completion: .file())
  var destination: String

  func run() throws {
    let copy = try Copy(client: client(), keepsOwners: archive, followsLinks: followLink, quiet: quiet)
    switch (CopyPlace(source), CopyPlace(destination)) {
    case (.container(let name, let path), .local(let local)): try copy.fetch(name, path, local)
    case (.local(let local), .container(let name, let path)): try copy.send(local, name, path)
    case (.container, .container):
      throw UsageError("Files go between a container and this machine, not between containers.")
    case (.local, .local):
      throw UsageError("One of the two must be in a container, written container:path.")
    }
  }
}

/// An argument of `cp`.
enum CopyPlace: Equatable {
  case local(String)
  case container(String, String)

  init(_ text: String) {
    // A path with a colon is told apart by its beginning: ./a:b, /a:b.
    guard let colon = text.firstIndex(of: ":"), !text.hasPrefix("/"), !text.hasPrefix("."), text != "-",
      !text[..<colon].contains("/"), colon != text.startIndex
    else {
      self = .local(text)
      return
    }
    self = .container(String(text[..<colon]), String(text[text.index(after: colon)...]))
  }
}

struct Copy {
  let client: Client
  let keepsOwners: Bool
  let followsLinks: Bool
  let quiet: Bool

  private struct Stat {
    let isDirectory: Bool
    let linkTarget: String

    /// From the header, base64 of JSON with a mode as Go has it.
    init?(_ head: ResponseHead) {
      guard let text = head.headers["x-docker-container-path-stat"], let bytes = Base64.decode(text),
        let value = try? JSONReader.read(bytes)
      else { return nil }
      isDirectory = (value["mode"].int ?? 0) & 1 << 31 != 0
      let isLink = (value["mode"].int ?? 0) & 1 << 27 != 0
      linkTarget = isLink ? value["linkTarget"].string ?? "" : ""
    }
  }

  private func target(_ container: String, _ path: String, _ query: [(String, String?)] = []) -> String {
    Target.container(container, "archive", [("path", path)] + query)
  }

  // MARK: From a container

  func fetch(_ container: String, _ path: String, _ local: String) throws {
    guard !path.isEmpty else { throw UsageError("The path in the container is missing.") }
    var path = path
    if followsLinks, let stat = try stat(container, path), !stat.linkTarget.isEmpty {
      path = Self.resolve(stat.linkTarget, beside: path)
    }
    let (head, connection) = try client.open("GET", target(container, path))
    guard let stat = Stat(head) else {
      throw ApusError(.internal, "The daemon did not say what \(container):\(path) is.")
    }
    if local == "-" {
      if Console.isTerminal(1) {
        throw ExitStatus(status: 1, message: "An archive is not for a terminal; redirect the output.")
      }
      while let piece = try connection.receivePiece() { try Console.write(piece[...], to: 1) }
      return
    }
    let plan = try Self.destination(local, source: path, sourceIsDirectory: stat.isDirectory)
    let tree = try LocalTree(
      directory: plan.directory, replacement: plan.name, keepsOwners: keepsOwners)
    var reader = TarReader()
    var count: Int64 = 0
    while let piece = try connection.receivePiece() {
      count += Int64(piece.count)
      try reader.feed(piece, tree.take)
    }
    tree.finish()
    guard reader.isFinished else { throw TarReader.malformed("it ends too early") }
    report(count, "\(container):\(path)", local)
  }

  /// The directory to write in, and what stands for the first component of the entries' names (Docker's rules for
  /// `docker cp`).
  static func destination(_ local: String, source: String, sourceIsDirectory: Bool) throws -> (
    directory: String, name: String?
  ) {
    let exists = access(local, F_OK) == 0
    let isDirectory = LocalFile.isDirectory(local)
    if isDirectory {
      if sourceIsDirectory, copiesContent(source) { return (local, "") }
      return (local, baseName(source))
    }
    if exists, sourceIsDirectory {
      throw ApusError(.conflict, "Cannot copy a directory over \(local), which is a file.")
    }
    if !sourceIsDirectory, local.hasSuffix("/") {
      throw ApusError(.notFound, "The directory \(local) does not exist; make it first.")
    }
    return (parent(local), baseName(local))
  }

  // MARK: To a container

  func send(_ local: String, _ container: String, _ path: String) throws {
    guard !path.isEmpty else { throw UsageError("The path in the container is missing.") }
    var path = path
    var stat = try stat(container, path)
    if let link = stat?.linkTarget, !link.isEmpty {
      path = Self.resolve(link, beside: path)
      stat = try self.stat(container, path)
    }
    let owners = ("copyUIDGID", keepsOwners ? "true" : nil)
    let keep = ("noOverwriteDirNonDir", Optional("true"))
    if local == "-" {
      guard stat?.isDirectory == true else {
        throw ExitStatus(status: 1, message: "\(container):\(path) must be a directory to unpack an archive in.")
      }
      _ = try Upload(client: client).post(target(container, path, [keep, owners]), from: "-", method: "PUT")
      return
    }
    let source = try localSource(local)
    let directory: String, name: String
    if let stat, stat.isDirectory {
      directory = path
      name = source.isDirectory && Self.copiesContent(local) ? "." : Self.baseName(VolumeArgument.absolute(local))
    } else {
      if source.isDirectory, stat != nil {
        throw ExitStatus(status: 1, message: "Cannot copy a directory over \(container):\(path), which is a file.")
      }
      if !source.isDirectory, stat == nil, path.hasSuffix("/") {
        throw ExitStatus(status: 1, message: "The directory \(container):\(path) does not exist; make it first.")
      }
      directory = Self.parent(path)
      name = Self.baseName(path)
    }
    var count: Int64 = 0
    let connection = try Upload(client: client).send(target(container, directory, [keep, owners]), method: "PUT") {
      sink in
      try withoutActuallyEscaping(sink) { sink in
        try LocalSource.archive(source.path, as: name) { bytes in
          count += Int64(bytes.count)
          try sink(bytes)
        }
      }
    }
    _ = try client.answer(on: connection)
    report(count, local, "\(container):\(path)")
  }

  private func localSource(_ local: String) throws -> (path: String, isDirectory: Bool) {
    var path = local
    var status = Glibc.stat()
    // A trailing slash or dot asks for what a link points to, and so does the option.
    if followsLinks || local.hasSuffix("/") || local.hasSuffix("/."), let real = realpath(local, nil) {
      path = String(cString: real)
      free(real)
    }
    guard lstat(path, &status) == 0 else { throw LocalFile.failure("read", local) }
    return (path, status.st_mode & S_IFMT == S_IFDIR)
  }

  private func stat(_ container: String, _ path: String) throws -> Stat? {
    let connection = try client.connect()
    try client.send("HEAD", target(container, path), on: connection)
    let head = try connection.receiveHead(for: "HEAD")
    client.reuse(connection)
    if head.status == 404 {
      // Only the container's absence is an error; a response without a body does not say which it was.
      _ = try client.request("GET", Target.container(container, "json"))
      return nil
    }
    guard head.isSuccess else {
      throw APIFailure(status: head.status, message: "Cannot look at \(container):\(path)")
    }
    return Stat(head)
  }

  private func report(_ count: Int64, _ from: String, _ to: String) {
    if quiet || !Console.isTerminal(2) { return }
    Console.warn("Copied \(Humanize.size(count)) from \(from) to \(to)")
  }

  // MARK: Paths

  static func copiesContent(_ path: String) -> Bool { path == "." || path.hasSuffix("/.") }

  static func baseName(_ path: String) -> String {
    let last = path.split(separator: "/").filter { $0 != "." }.last
    return last.map(String.init) ?? ""
  }

  static func parent(_ path: String) -> String {
    var parts = path.split(separator: "/", omittingEmptySubsequences: true)
    while parts.last == "." { parts.removeLast() }
    let joined = parts.dropLast().joined(separator: "/")
    if path.hasPrefix("/") { return "/" + joined }
    return joined.isEmpty ? "." : joined
  }

  static func resolve(_ link: String, beside path: String) -> String {
    if link.hasPrefix("/") { return link }
    return parent(path) + "/" + link
  }
}

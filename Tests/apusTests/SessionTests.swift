import Glibc
import Testing

@testable import apus

@Suite("Streams of containers") struct SessionTests {
  @Test("frames, cut anywhere")
  func demultiplexes() throws {
    let frames: [UInt8] =
      [1, 0, 0, 0, 0, 0, 0, 3] + Array("out".utf8) + [2, 0, 0, 0, 0, 0, 0, 3] + Array("err".utf8)
      + [1, 0, 0, 0, 0, 0, 0, 0] + [1, 0, 0, 0, 0, 0, 0, 1] + Array("!".utf8)
    for size in 1...frames.count {
      var demultiplexer = StreamDemultiplexer(), output: [UInt8] = [], errors: [UInt8] = []
      var rest = frames[...]
      while !rest.isEmpty {
        try demultiplexer.feed(Array(rest.prefix(size))) { if $1 == 1 { output += $0 } else { errors += $0 } }
        rest = rest.dropFirst(size)
      }
      #expect(output == Array("out!".utf8))
      #expect(errors == Array("err".utf8))
    }
  }

  @Test("what is no frame is an error")
  func malformed() {
    #expect(throws: (any Error).self) {
      var demultiplexer = StreamDemultiplexer()
      try demultiplexer.feed(Array("plain text".utf8)) { _, _ in }
    }
  }

  @Test("the detach keys are taken out, and what only begins like them goes on")
  func detachKeys() throws {
    var keys = try DetachKeys("ctrl-p,ctrl-q")
    #expect(keys.filter([0x61, 0x10]) == ([0x61], false))
    // Twice the first key: the first of them was meant, the second may begin the sequence.
    #expect(keys.filter([0x10, 0x62]) == ([0x10, 0x10, 0x62], false))
    var again = try DetachKeys("ctrl-p,ctrl-q")
    #expect(again.filter([0x10]) == ([], false))
    #expect(again.filter([0x62]) == ([0x10, 0x62], false))
    #expect(again.filter([0x10, 0x11, 0x63]) == ([], true))
    var one = try DetachKeys("x")
    #expect(one.filter(Array("ax".utf8)[...]) == (Array("a".utf8), true))
    var none = try DetachKeys("")
    #expect(none.filter([0x10, 0x11]) == ([0x10, 0x11], false))
    #expect(throws: (any Error).self) { try DetachKeys("ctrl-") }
    #expect(throws: (any Error).self) { try DetachKeys("escape") }
  }

  @Test("the exit status of what could not be started")
  func statuses() {
    #expect(APIFailure(status: 400, message: "exec: \"x\": executable file not found in $PATH").startStatus == 127)
    #expect(APIFailure(status: 400, message: "exec: \"/etc\": permission denied").startStatus == 126)
    #expect(APIFailure(status: 500, message: "no space").startStatus == 125)
  }

  @Test("one sentence for the user")
  func sentences() {
    #expect(Failure.sentence("no such thing\n") == "no such thing.")
    let failure = APIFailure(status: 404, message: "No such container: x")
    #expect(Failure.sentence(failure) == "No such container: x; 'apus ps --all' lists what there is.")
  }
}

@Suite("Archives for cp") struct ArchiveTests {
  private func scratch() -> String {
    let path = "/tmp/apus-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    mkdir(path, 0o755)
    return path
  }

  private func remove(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, let directory = opendir(path) else {
      unlink(path)
      return
    }
    while let item = readdir(directory) {
      let name = withUnsafePointer(to: &item.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { remove(path + "/" + name) }
    }
    closedir(directory)
    rmdir(path)
  }

  private func read(_ path: String) throws -> String { String(decoding: try LocalFile.read(path), as: UTF8.self) }

  @Test("a tree goes out and comes back")
  func roundTrip() throws {
    let from = scratch(), to = scratch()
    defer { [from, to].forEach(remove) }
    let long = String(repeating: "n", count: 120)
    mkdir(from + "/tree", 0o750)
    mkdir(from + "/tree/sub", 0o555)
    try LocalFile.create(from + "/tree/a", Array("hello".utf8))
    chmod(from + "/tree/a", 0o4755)
    try LocalFile.create(from + "/tree/" + long, [UInt8](repeating: 7, count: 1000))
    link(from + "/tree/a", from + "/tree/b")
    symlink("a", from + "/tree/link")
    mkfifo(from + "/tree/fifo", 0o600)

    var archive: [UInt8] = []
    try LocalSource.archive(from + "/tree", as: "tree") { archive += $0 }
    for size in [1, 511, 512, 100_000] {
      let place = to + "/\(size)"
      mkdir(place, 0o755)
      let tree = try LocalTree(directory: place, replacement: "copy", keepsOwners: false)
      var reader = TarReader()
      var rest = archive[...]
      while !rest.isEmpty {
        try reader.feed(Array(rest.prefix(size)), tree.take)
        rest = rest.dropFirst(size)
      }
      tree.finish()
      #expect(reader.isFinished)
      #expect(try read(place + "/copy/a") == "hello")
      #expect(try LocalFile.read(place + "/copy/" + long).count == 1000)
      var status = stat(), other = stat()
      stat(place + "/copy/a", &status)
      stat(place + "/copy/b", &other)
      #expect(status.st_ino == other.st_ino)
      #expect(status.st_mode & 0o7777 == 0o4755)
      stat(place + "/copy/sub", &status)
      #expect(status.st_mode & 0o7777 == 0o555)
      lstat(place + "/copy/link", &status)
      #expect(status.st_mode & S_IFMT == S_IFLNK)
    }
  }

  @Test("nothing is written outside, neither by dots nor through a link")
  func escapes() throws {
    let place = scratch(), outside = scratch()
    defer { [place, outside].forEach(remove) }
    func unpack(_ entries: [TarEntry]) throws {
      let tree = try LocalTree(directory: place, replacement: nil, keepsOwners: false)
      var reader = TarReader()
      for entry in entries { try reader.feed(TarWriter.header(entry), tree.take) }
    }
    #expect(throws: (any Error).self) { try unpack([TarEntry(kind: .file, name: "../evil")]) }
    #expect(throws: (any Error).self) { try unpack([TarEntry(kind: .file, name: "a/../../evil")]) }
    var link = TarEntry(kind: .symbolicLink, name: "door")
    link.target = outside
    #expect(throws: (any Error).self) { try unpack([link, TarEntry(kind: .file, name: "door/evil")]) }
    var hard = TarEntry(kind: .hardLink, name: "h")
    hard.target = "../../etc/passwd"
    #expect(throws: (any Error).self) { try unpack([hard]) }
    #expect(access(outside + "/evil", F_OK) != 0)
  }

  @Test("a damaged archive is refused")
  func damaged() {
    #expect(throws: (any Error).self) {
      var reader = TarReader()
      try reader.feed([UInt8](repeating: 0x41, count: 512)) { _ in }
    }
  }

  @Test("where a copy goes, by Docker's rules")
  func destinations() throws {
    let place = scratch()
    defer { remove(place) }
    try LocalFile.create(place + "/file", [])
    func plan(_ local: String, _ source: String, _ isDirectory: Bool) throws -> [String?] {
      let plan = try Copy.destination(local, source: source, sourceIsDirectory: isDirectory)
      return [plan.directory, plan.name]
    }
    #expect(try plan(place, "/etc/passwd", false) == [place, "passwd"])
    #expect(try plan(place, "/etc", true) == [place, "etc"])
    #expect(try plan(place, "/etc/.", true) == [place, ""])
    #expect(try plan(place + "/new", "/etc", true) == [place, "new"])
    #expect(try plan(place + "/file", "/etc/passwd", false) == [place, "file"])
    #expect(throws: (any Error).self) { try plan(place + "/file", "/etc", true) }
    #expect(throws: (any Error).self) { try plan(place + "/none/", "/etc/passwd", false) }
  }

  @Test("which argument is in a container")
  func places() {
    #expect(CopyPlace("web:/a") == .container("web", "/a"))
    #expect(CopyPlace("./web:a") == .local("./web:a"))
    #expect(CopyPlace("/a:b") == .local("/a:b"))
    #expect(CopyPlace("-") == .local("-"))
    #expect(CopyPlace("dir/a:b") == .local("dir/a:b"))
  }
}

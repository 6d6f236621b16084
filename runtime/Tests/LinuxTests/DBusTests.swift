import Errors
import Glibc
import Testing

@testable import Linux

@Suite struct DBusValueTests {
  private func bytes(_ value: DBusValue) -> [UInt8] {
    var writer = DBusWriter()
    writer.write(value)
    return writer.bytes
  }

  @Test func numbersAndTextsAsTheSpecificationHasThem() {
    #expect(bytes(.byte(7)) == [7])
    #expect(bytes(.boolean(true)) == [1, 0, 0, 0])
    #expect(bytes(.uint64(0x0102)) == [2, 1, 0, 0, 0, 0, 0, 0])
    #expect(bytes(.string("foo")) == [3, 0, 0, 0, 0x66, 0x6f, 0x6f, 0])
    #expect(bytes(.signature("a(sv)")) == [5, 0x61, 0x28, 0x73, 0x76, 0x29, 0])
    // The length does not count what brings the first element to its boundary.
    #expect(bytes(.array("t", [.uint64(5)])) == [8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])
    #expect(bytes(.array("(ss)", [])) == [0, 0, 0, 0, 0, 0, 0, 0])
    #expect(bytes(.variant(.uint32(9))) == [1, 0x75, 0, 0, 9, 0, 0, 0])
  }

  @Test(arguments: [
    DBusValue.structure([.byte(1), .uint64(2), .string("three")]),
    .array("(sv)", [.structure([.string("a"), .variant(.boolean(true))])]),
    .variant(.array("(ss)", [.structure([.string("/dev/char/1:3"), .string("rwm")])])), .bytes([1, 2, 3]), .strings([]),
    .array("ay", [.bytes([1]), .bytes([])]), .int64(-1), .int32(-2), .double(0.5), .objectPath("/a/b"),
  ])
  func whatIsWrittenIsRead(value: DBusValue) throws {
    var reader = DBusReader(bytes(value)[...])
    #expect(try reader.read(value.signature) == [value])
    #expect(reader.rest == 0)
  }

  @Test func everyCutIsNoticed() {
    let value = DBusValue.array("(sv)", [.structure([.string("name"), .variant(.bytes([1, 2, 3]))])])
    let whole = bytes(value)
    for count in 0..<whole.count {
      #expect(throws: ApusError.self) {
        var reader = DBusReader(whole.prefix(count))
        _ = try reader.read(value.signature)
      }
    }
  }

  @Test(arguments: ["(", "a", ")", "z", String(repeating: "a", count: 200) + "y", String(repeating: "(", count: 100)])
  func signaturesAreChecked(signature: String) {
    #expect(throws: ApusError.self) {
      var reader = DBusReader([UInt8](repeating: 0, count: 64)[...])
      _ = try reader.read(signature)
    }
  }

  @Test func lengthsAreHeldAgainstWhatIsThere() {
    // A list of 4 GiB, a text of 16 MiB, and a variant in a variant and so on.
    for (signature, bytes) in [
      ("ay", [0xff, 0xff, 0xff, 0xff, 1]), ("s", [0, 0, 0, 1, 0x61]),
      ("v", [UInt8](repeating: [1, 0x76, 0], count: 40)),
      ("a()", [8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] as [(String, [UInt8])] {
      #expect(throws: ApusError.self) {
        var reader = DBusReader(bytes[...])
        _ = try reader.read(signature)
      }
    }
  }
}

extension [UInt8] {
  fileprivate init(repeating part: [UInt8], count: Int) { self = (0..<count).flatMap { _ in part } }
}

@Suite struct DBusMessageTests {
  @Test func aCall() throws {
    var message = DBusMessage(.call)
    message.serial = 1
    message.path = "/p"
    message.member = "M"
    message.body = [.string("x")]
    let bytes = message.encoded()
    #expect(
      bytes == [
        0x6c, 1, 0, 1, 6, 0, 0, 0, 1, 0, 0, 0, 39, 0, 0, 0,  // order, kind, flags, version, body, serial, fields
        1, 1, 0x6f, 0, 2, 0, 0, 0, 0x2f, 0x70, 0, 0, 0, 0, 0, 0,  // path
        3, 1, 0x73, 0, 1, 0, 0, 0, 0x4d, 0, 0, 0, 0, 0, 0, 0,  // member
        8, 1, 0x67, 0, 1, 0x73, 0, 0,  // signature, and up to the body
        1, 0, 0, 0, 0x78, 0,
      ])
    #expect(try DBusMessage.length(bytes.prefix(16)) == bytes.count)
    #expect(try DBusMessage(bytes) == message)
  }

  @Test func lengthsAreBounded() {
    for (position, byte) in [(7, UInt8(1)), (15, 1), (0, 0x42)] {
      var bytes: [UInt8] = [0x6c, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
      bytes[position] = byte
      #expect(throws: ApusError.self) { try DBusMessage.length(bytes[...]) }
    }
  }

  @Test func unknownKindsAreLeftAlone() throws {
    #expect(try DBusMessage([0x6c, 9, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]) == nil)
  }
}

/// The other end of a connection, which answers as it has been told.
final class DBusPeer {
  let socket: Int32
  private var received: [UInt8] = []
  private var serial: UInt32 = 100

  init(_ socket: Int32) { self.socket = socket }
  deinit { close(socket) }

  func send(_ text: String) { _ = try? UnixSocket.send(Array(text.utf8), on: socket) }

  /// The first lines of a client, answered.
  func welcome() {
    while !received.contains(0x42) || !String(decoding: received, as: UTF8.self).hasSuffix("BEGIN\r\n") {
      guard fill() else { return }
    }
    #expect(String(decoding: received, as: UTF8.self) == "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
    received = []
    send("DATA\r\nOK 0123456789abcdef\r\n")
  }

  private func fill() -> Bool {
    guard let bytes = try? UnixSocket.receive(on: socket, limit: 4096).bytes, !bytes.isEmpty else { return false }
    received += bytes
    return true
  }

  func next() -> DBusMessage? {
    while true {
      if received.count >= 16, let length = try? DBusMessage.length(received.prefix(16)), received.count >= length {
        defer { received.removeFirst(length) }
        return try? DBusMessage(Array(received.prefix(length)))
      }
      guard fill() else { return nil }
    }
  }

  func answer(_ call: DBusMessage, _ body: [DBusValue] = []) {
    var message = DBusMessage(.answer)
    message.answers = call.serial
    message.body = body
    post(message)
  }

  func refuse(_ call: DBusMessage, _ name: String, _ reason: String) {
    var message = DBusMessage(.error)
    message.answers = call.serial
    message.errorName = name
    message.body = [.string(reason)]
    post(message)
  }

  func signal(_ member: String, _ body: [DBusValue]) {
    var message = DBusMessage(.signal)
    message.path = "/org/freedesktop/systemd1"
    message.interface = "org.freedesktop.systemd1.Manager"
    message.member = member
    message.body = body
    post(message)
  }

  private func post(_ message: DBusMessage) {
    var message = message
    serial += 1
    message.serial = serial
    _ = try? UnixSocket.send(message.encoded(), on: socket)
  }

  /// A connection whose other end runs `script` in a thread of its own.
  static func connect(
    isBus: Bool = false, timeout: Int = 5000, _ script: @escaping @Sendable (DBusPeer) -> Void
  ) throws -> DBusConnection {
    let pair = try UnixSocket.pair()
    let other = pair.second.release()
    final class Box { let script: () -> Void; init(_ script: @escaping () -> Void) { self.script = script } }
    let box = Unmanaged.passRetained(Box { script(DBusPeer(other)) })
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().script()
        return nil
      }, box.toOpaque())
    pthread_detach(thread)
    return try DBusConnection(pair.first, name: "the peer", isBus: isBus, timeout: timeout)
  }
}

@Suite struct DBusConnectionTests {
  @Test func callsGetTheirAnswers() throws {
    let connection = try DBusPeer.connect { peer in
      peer.welcome()
      while let call = peer.next() {
        // What nobody has asked for is no answer.
        var other = call
        other.serial = 77
        peer.answer(other, [.string("not this")])
        peer.signal("Something", [])
        peer.answer(call, [.string("\(call.member) \(call.body.first?.text ?? "")")])
      }
    }
    #expect(try connection.call(path: "/", interface: "i", member: "One", [.string("1")]) == [.string("One 1")])
    #expect(try connection.call(path: "/", interface: "i", member: "Two") == [.string("Two ")])
  }

  @Test func aBusIsGreeted() throws {
    let connection = try DBusPeer.connect(isBus: true) { peer in
      peer.welcome()
      guard let hello = peer.next() else { return }
      #expect(hello.member == "Hello" && hello.destination == "org.freedesktop.DBus")
      peer.answer(hello, [.string(":1.5")])
      if let call = peer.next() { peer.answer(call, [.boolean(true)]) }
    }
    #expect(try connection.call(destination: "d", path: "/", interface: "i", member: "M") == [.boolean(true)])
  }

  @Test func errorsHaveTheirNames() throws {
    let connection = try DBusPeer.connect { peer in
      peer.welcome()
      if let call = peer.next() { peer.refuse(call, "org.example.No", "not today") }
    }
    let error = #expect(throws: ApusError.self) { try connection.call(path: "/", interface: "i", member: "M") }
    #expect(error?.message == "M of the peer failed: not today")
    #expect(error?.cause as? DBusFailure == DBusFailure(name: "org.example.No", reason: "not today"))
  }

  @Test(arguments: ["REJECTED EXTERNAL\r\n", "HTTP/1.1 400 Bad Request\r\n", String(repeating: "x", count: 10000), ""])
  func whoDoesNotLetUsInIsAnError(answer: String) {
    #expect(throws: ApusError.self) {
      _ = try DBusPeer.connect { peer in
        if !answer.isEmpty { peer.send(answer) }
      }
    }
  }

  @Test func silenceEnds() throws {
    let connection = try DBusPeer.connect(timeout: 100) { peer in
      peer.welcome()
      // Until the other end is closed.
      while peer.next() != nil {}
    }
    let error = #expect(throws: ApusError.self) { try connection.call(path: "/", interface: "i", member: "M") }
    #expect(error?.code == .deadlineExceeded)
  }

  @Test func signalsThatCameBeforeAreKept() throws {
    let connection = try DBusPeer.connect { peer in
      peer.welcome()
      guard let call = peer.next() else { return }
      for number in 0..<400 { peer.signal("Noise", [.uint32(UInt32(number))]) }
      peer.signal("Wanted", [.string("first")])
      peer.answer(call)
      peer.signal("Wanted", [.string("second")])
      while peer.next() != nil {}
    }
    try connection.call(path: "/", interface: "i", member: "M")
    for text in ["first", "second"] {
      #expect(try connection.waitForSignal { $0.member == "Wanted" }.body == [.string(text)])
    }
  }
}

import Errors
import Foundation
import Glibc
import Linux
import Netlink
import Testing

@testable import Networking

/// On the host's own loopback, and ports that nobody is likely to have.
@Suite(.serialized) struct FirewallPortsTests {
  private func request(
    _ port: UInt16, _ address: String? = nil, _ proto: PortProtocol = .tcp
  ) throws -> PortRequest {
    PortRequest(proto: proto, address: try address.map { try #require(IPAddress($0)) }, ports: port...port)
  }

  /// As any server does it.
  private func listen(
    on port: UInt16, _ address: String = "::", reuse: Bool = true, datagram: Bool = false
  ) throws -> Int32? {
    let parsed = try #require(IPAddress(address))
    let kind = datagram ? SOCK_DGRAM.rawValue : SOCK_STREAM.rawValue
    let server = socket(parsed.family == .v4 ? AF_INET : AF_INET6, Int32(kind | SOCK_CLOEXEC.rawValue), 0)
    var one: Int32 = reuse ? 1 : 0
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, 4)
    guard TestAddress(parsed, port).using({ Int(bind(server, $0, $1)) }) == 0,
      datagram || Glibc.listen(server, 8) == 0
    else {
      close(server)
      return nil
    }
    return server
  }

  @Test(arguments: [PortProtocol.tcp, .udp])
  func `a reserved port is nobody else's until it is given back`(proto: PortProtocol) throws {
    let ports = HostPorts()
    let reservation = try ports.reserve(try request(47801, nil, proto), owner: "container \"web\"")
    #expect(reservation.port == 47801)
    for address in ["::", "0.0.0.0", "127.0.0.1", "::1"] {
      for reuse in [false, true] {
        #expect(try listen(on: 47801, address, reuse: reuse, datagram: proto == .udp) == nil)
      }
    }
    reservation.release()
    let server = try #require(try listen(on: 47801, datagram: proto == .udp))
    close(server)
  }

  @Test func `who has the port is named`() throws {
    let ports = HostPorts()
    let web = try ports.reserve(try request(47802), owner: "container \"web\"")
    defer { web.release() }
    for address in [nil, "0.0.0.0", "127.0.0.1", "::1"] {
      let error = try #require(throws: ApusError.self) {
        try ports.reserve(try request(47802, address), owner: "other")
      }
      let text = address.map { $0.contains(":") ? "[\($0)]" : $0 } ?? "0.0.0.0"
      #expect(error.code == .conflict)
      #expect(
        error.message.hasPrefix("Bind for \(text):47802 failed: port is already allocated by container \"web\"; "))
    }
    // Another protocol is another port.
    try ports.reserve(try request(47802, nil, .udp), owner: "dns").release()

    let server = try #require(try listen(on: 47803, "127.0.0.1"))
    defer { close(server) }
    let error = try #require(throws: ApusError.self) { try ports.reserve(try request(47803), owner: "web") }
    #expect(error.code == .conflict)
    #expect(error.message.hasPrefix("failed to bind host port for 0.0.0.0:47803: address already in use by "))
    #expect(error.message.contains("(pid \(getpid()))"))
    // Its address only.
    try ports.reserve(try request(47803, "127.0.0.2"), owner: "web").release()
  }

  @Test func `two addresses are two ports`() throws {
    let ports = HostPorts()
    let first = try ports.reserve(try request(47804, "127.0.0.1"), owner: "a")
    let second = try ports.reserve(try request(47804, "127.0.0.2"), owner: "b")
    #expect(throws: ApusError.self) { try ports.reserve(try request(47804, "0.0.0.0"), owner: "c") }
    first.release()
    first.release()
    second.release()
    try ports.reserve(try request(47804), owner: "c").release()
  }

  @Test func `one of several, or any, is chosen`() throws {
    let ports = HostPorts()
    let range = PortRequest(proto: .tcp, ports: 47805...47807)
    let server = try #require(try listen(on: 47806, "127.0.0.1"))
    defer { close(server) }
    let reservations = try [ports.reserve(range, owner: "a"), ports.reserve(range, owner: "b")]
    #expect(reservations.map(\.port) == [47805, 47807])
    let error = try #require(throws: ApusError.self) { try ports.reserve(range, owner: "c") }
    #expect(error.code == .resourceExhausted && error.message.contains("47805-47807/tcp"))
    for proto in [PortProtocol.tcp, .udp] {
      let any = try ports.reserve(PortRequest(proto: proto), owner: "d")
      #expect(any.port >= 1024)
      #expect(try listen(on: any.port, datagram: proto == .udp) == nil)
      any.release()
    }
  }

  @Test func `a reservation that is dropped gives its port back`() throws {
    let ports = HostPorts()
    do { _ = try ports.reserve(try request(47808), owner: "a") }
    try ports.reserve(try request(47808), owner: "b").release()
  }

  @Test func `connections of a server that has gone are in nobody's way`() throws {
    let server = try #require(try listen(on: 47809, "127.0.0.1"))
    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let address = TestAddress(try #require(IPAddress("127.0.0.1")), 47809)
    #expect(address.using { Int(connect(client, $0, $1)) } == 0)
    // Whoever closes first waits.
    var peer = TestAddress()
    close(Int32(peer.reading { Int(accept(server, $0, $1)) }))
    close(client)
    close(server)
    #expect(try listen(on: 47809, "127.0.0.1", reuse: false) == nil)
    let reservation = try HostPorts().reserve(try request(47809), owner: "web")
    defer { reservation.release() }
    // Nor does it let others in.
    for address in ["::", "0.0.0.0", "127.0.0.1"] { #expect(try listen(on: 47809, address) == nil) }
  }

  @Test func `an address the host does not have is refused`() throws {
    let error = try #require(throws: ApusError.self) {
      try HostPorts().reserve(try request(47810, "203.0.113.7"), owner: "web")
    }
    #expect(error.code == .invalidArgument)
    #expect(error.message.hasPrefix("failed to bind host port for 203.0.113.7:47810: cannot assign requested address"))
  }

  @Test func `sockets are read as the kernel lists them`() throws {
    let four = PortHolder.Socket(
      line: "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0",
      family: .v4)
    #expect(four?.address == IPAddress("127.0.0.1") && four?.port == 8080 && four?.inode == "12345")
    let six = PortHolder.Socket(
      line:
        "   1: B80D0120000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0     0        0 7 1",
      family: .v6)
    #expect(six?.address == IPAddress("2001:db8::1") && six?.port == 80)
    for line in ["", "0: x:y", "0: 0100007F:1F90 0:0 06 0:0 0:0 0 0 0 0"] {
      #expect(PortHolder.Socket(line: line[...], family: .v4) == nil)
    }
  }
}

import Foundation
import Glibc
import Netlink
import Testing

@testable import Networking

struct ResolverHostTests {
  @Test func `the servers of a resolv_conf`() {
    let text = """
      # nameserver 192.0.2.8
      ;nameserver 192.0.2.8
      nameserver 192.0.2.1
      nameserver\t2001:db8::1  # trailing
       nameserver 192.0.2.9
      nameserver fe80::1%eth0
      nameserver nonsense
      nameserver
      search corp.example
      options ndots:2
      """
    #expect(HostNameServers.parse(text).map(\.description) == ["192.0.2.1", "2001:db8::1", "192.0.2.9"])
  }

  @Test func `the host's servers are followed`() throws {
    let path = NSTemporaryDirectory() + "resolv-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    defer { unlink(path) }
    try "nameserver 192.0.2.1\n".write(toFile: path, atomically: true, encoding: .utf8)
    let servers = HostNameServers(path: path)
    #expect(servers.addresses.map(\.description) == ["192.0.2.1"])
    try "nameserver 192.0.2.2\n".write(toFile: path, atomically: true, encoding: .utf8)
    usleep(1_100_000)
    #expect(servers.addresses.map(\.description) == ["192.0.2.2"])
    // No file, no server: the one on this machine, as libc has it.
    #expect(HostNameServers(path: path + "-none").addresses.map(\.description) == ["127.0.0.1"])
  }
}

import Foundation
import Glibc
import Netlink
import Testing

@testable import Networking

struct ResolverConfigurationTests {
  @Test func `resolv_conf is read as resolv_conf(5) says`() throws {
    let text = """
      # a comment
      ; another
      nameserver 192.0.2.1
      nameserver\t2001:db8::1  # trailing
       nameserver 192.0.2.9
      nameserver fe80::1%eth0
      nameserver nonsense
      domain first.example
      search corp.example\texample.com
      options ndots:2 edns0
      options trust-ad
      sortlist 1.2.3.4
      """
    let configuration = ResolverConfiguration(parsing: text)
    #expect(configuration.servers.map(\.description) == ["192.0.2.1", "2001:db8::1", "192.0.2.9"])
    #expect(configuration.search == ["corp.example", "example.com"])
    #expect(configuration.options == ["ndots:2", "edns0", "trust-ad"])
    #expect(
      configuration.text == """
        nameserver 192.0.2.1
        nameserver 2001:db8::1
        nameserver 192.0.2.9
        search corp.example example.com
        options ndots:2 edns0 trust-ad

        """)
    #expect(ResolverConfiguration(parsing: configuration.text) == configuration)
    #expect(ResolverConfiguration().text == "")
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

import Netlink
import Testing

@Suite struct IPAddressTests {
  @Test(arguments: [
    ("::", "::"), ("::1", "::1"), ("fd00::1", "fd00::1"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("::ffff:1.2.3.4", "::ffff:102:304"), ("1:0:0:0:0:0:0:0", "1::"),
    ("1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"), ("172.17.0.2", "172.17.0.2"), ("0.0.0.0", "0.0.0.0"),
  ])
  func text(_ text: String, _ canonical: String) {
    #expect(IPAddress(text)?.description == canonical)
  }

  @Test(arguments: [
    "", ":", ":::", "1:", ":1", "1::2::3", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", "12345::", "g::", "::1.2.3",
    "1.2.3",
    "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.", "1.2.3.4 ", "fe80::1%eth0", "::1.2.3.4.5", "-1.2.3.4",
  ])
  func refused(_ text: String) { #expect(IPAddress(text) == nil) }

  @Test func bytesRoundTrip() throws {
    for text in ["10.1.2.3", "fd12:3456:789a::1"] {
      let address = try #require(IPAddress(text))
      #expect(IPAddress(bytes: address.bytes) == address)
    }
    #expect(IPAddress(bytes: [1, 2, 3]) == nil)
  }

  @Test func subnet() throws {
    let subnet = try #require(IPSubnet("172.18.5.1/16"))
    #expect(subnet.first.description == "172.18.0.0" && subnet.last.description == "172.18.255.255")
    #expect(subnet.contains(try #require(IPAddress("172.18.9.9"))))
    #expect(!subnet.contains(try #require(IPAddress("172.19.0.0"))))
    #expect(subnet.overlaps(try #require(IPSubnet("172.0.0.0/8"))))
    #expect(!subnet.overlaps(try #require(IPSubnet("172.19.0.0/16"))))
    let whole = try #require(IPSubnet("::/0"))
    #expect(whole.contains(try #require(IPAddress("ffff::"))))
    for text in ["1.2.3.4", "1.2.3.4/33", "1.2.3.4/+8", "::/129", "1.2.3.4/", "/8"] { #expect(IPSubnet(text) == nil) }
  }

  @Test func ethernet() throws {
    #expect(MACAddress("02:42:AC:11:00:02")?.description == "02:42:ac:11:00:02")
    for text in ["02:42:ac:11:00", "02:42:ac:11:00:2", "+2:42:ac:11:00:02", "02:42:ac:11:00:02:03"] {
      #expect(MACAddress(text) == nil)
    }
    let random = MACAddress.random()
    #expect(random.isUsable && random.bytes[0] & 2 == 2)
  }

  @Test func ethernetOfAnAddress() throws {
    let v4 = try #require(IPAddress("172.17.0.2"))
    #expect(MACAddress.derived(from: v4).description == "02:42:ac:11:00:02")
    let v6 = [try #require(IPAddress("fd00:1::2")), try #require(IPAddress("fd00:2::2"))].map(MACAddress.derived)
    #expect(v6[0] != v6[1] && v6.allSatisfy { $0.isUsable && $0.bytes[1] == 0x42 })
  }
}

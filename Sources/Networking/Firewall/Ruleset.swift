/// The table as text for nft(8).
///
/// The chains never change while the daemon runs: networks and published ports are elements of sets and maps.
struct Ruleset {
  /// In the family `inet`.
  let table: String

  /// Everything that is ours; the chain `user` is the administrator's and not among it.
  private static let chains: [(name: String, hook: String?, rules: [String])] = [
    // A bridge has route_localnet set, so that the host reaches published ports by 127.0.0.1. Without this, instances
    // could reach what listens on the host's loopback only (the class of CVE-2020-8558), and so could a neighbour on
    // the host's link whose packet for 127.0.0.1 finds a published port before the kernel looks at its address.
    (
      "loopback", "type filter hook prerouting priority -300; policy accept;",
      [
        "ip daddr != 127.0.0.0/8 ip saddr != 127.0.0.0/8 accept", "ip6 daddr != ::1 ip6 saddr != ::1 accept",
        "iifname != \"lo\" drop",
      ]
    ),
    // One address of the host goes before all of them. An address of a link cannot be the source of what is forwarded,
    // so nothing can be led on from there.
    (
      "publish", nil,
      [
        "dnat ip to ip daddr . meta l4proto . th dport map @published_at4",
        "meta nfproto ipv4 dnat ip to meta l4proto . th dport map @published4", "ip6 daddr fe80::/10 return",
        "dnat ip6 to ip6 daddr . meta l4proto . th dport map @published_at6",
        "meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @published6",
      ]
    ),
    ("prerouting", "type nat hook prerouting priority -100; policy accept;", ["fib daddr type local jump publish"]),
    // The host's own connections. They pass no forward hook: nothing of this table refuses them.
    ("output", "type nat hook output priority -100; policy accept;", ["fib daddr type local jump publish"]),
    (
      "postrouting", "type nat hook postrouting priority 100; policy accept;",
      [
        "oifname @bridges ct status dnat jump hairpin",
        // The host's loopback addresses are nobody's beyond it.
        "oifname @bridges ip saddr 127.0.0.0/8 masquerade", "oifname @bridges ip6 saddr ::1 masquerade",
        "oifname != @bridges meta nfproto . iifname @masqueraded masquerade",
      ]
    ),
    // An instance that reaches another, or itself, by the host's address: the answer would take the short way, not by
    // the host. Where the host filters bridges (net.bridge.bridge-nf-call-iptables) such a packet may never leave the
    // bridge; it has no incoming interface then, as the host's own have none, but an address that is not the host's.
    ("hairpin", nil, ["iifname @bridges masquerade", "meta iif 0 fib saddr type != local masquerade"]),
    (
      "forward", "type filter hook forward priority 0; policy accept;",
      [
        // First, for nearly every packet ends here; others' too, whom nothing below concerns.
        "ct state established,related accept", "iifname != @bridges oifname != @bridges accept",
        // Before what isolates: a published port of another network may be reached by the host's address.
        "ct status dnat goto published",
        "iifname . oifname @neighbours accept",
        // A packet that belongs to no connection would leave with the instance's own address.
        "ct state invalid drop",
        "iifname @internal drop", "oifname @internal drop",
        "ip daddr . meta l4proto . th dport @opened4 goto admitted",
        "ip6 daddr . meta l4proto . th dport @opened6 goto admitted",
        // ICMP and ICMPv6 by number: their names are in /etc/protocols, which not every host has.
        "meta nfproto . oifname @routed meta l4proto { 1, 58 } accept",
        // From another network of ours, or from outside to a port that is not published.
        "oifname @bridges drop",
      ]
    ),
    // Somebody else's destination NAT that leads out of a network of ours is none of our business.
    (
      "published", nil,
      ["iifname @internal drop", "oifname @internal drop", "oifname @bridges goto admitted", "accept"]
    ),
    ("admitted", nil, ["jump user", "accept"]),
  ]

  /// A transaction that makes all of it anew, whatever is there: connections go on, for they know their addresses.
  ///
  /// Nothing is deleted, so rules in `user` may refer to the table's sets.
  ///
  /// - Parameter existing: delete the chains and these sets first: for what an older version has left in another form.
  ///   Fails where `user` refers to them.
  func text(elements: some Sequence<SetElement>, replacing existing: [String]? = nil) -> String {
    var lines = ["add table inet \(table)", "add chain inet \(table) user"]
    if existing != nil { lines = deletion }
    for set in SetElement.Name.allCases {
      if let existing, existing.contains(set.rawValue) { lines.append("delete set inet \(table) \(set.rawValue)") }
      lines.append("add \(set.isMap ? "map" : "set") inet \(table) \(set.rawValue) { type \(set.type); }")
      lines.append("flush \(set.isMap ? "map" : "set") inet \(table) \(set.rawValue)")
    }
    for chain in Self.chains {
      lines.append("add chain inet \(table) \(chain.name)" + (chain.hook.map { " { \($0) }" } ?? ""))
      lines.append("flush chain inet \(table) \(chain.name)")
    }
    for chain in Self.chains {
      for rule in chain.rules { lines.append("add rule inet \(table) \(chain.name) \(rule)") }
    }
    for (set, elements) in Dictionary(grouping: elements, by: \.set).sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      let list = elements.map(\.text).sorted().joined(separator: ", ")
      lines.append("add element inet \(table) \(set.rawValue) { \(list) }")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Takes everything away, `user` too.
  var removal: String { "delete table inet \(table)\n" }

  /// A transaction that leaves the chain `user`, and the sets it may refer to, empty.
  var textWithoutOurs: String {
    let sets = SetElement.Name.allCases.map { "flush \($0.isMap ? "map" : "set") inet \(table) \($0.rawValue)" }
    return (deletion + sets).joined(separator: "\n") + "\n"
  }

  /// The sets and maps of a table, as nft(8) lists it.
  static func sets(_ listing: String) -> [String] {
    listing.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard words.count == 3, words[2] == "{", ["\tset", "\tmap"].contains(words[0]) else { return nil }
      return String(words[1])
    }
  }

  /// Whether a chain, as nft(8) lists it, has any rule.
  static func hasRules(_ listing: String) -> Bool {
    listing.split(separator: "\n").contains { $0.hasPrefix("\t\t") && !$0.hasPrefix("\t\ttype ") }
  }

  /// What may not be there cannot be deleted: first it is made. Chains are emptied before the first goes, for they lead
  /// to one another.
  private var deletion: [String] {
    ["add table inet \(table)", "add chain inet \(table) user"]
      + Self.chains.map { "add chain inet \(table) \($0.name)" }
      + Self.chains.map { "flush chain inet \(table) \($0.name)" }
      + Self.chains.map { "delete chain inet \(table) \($0.name)" }
  }
}

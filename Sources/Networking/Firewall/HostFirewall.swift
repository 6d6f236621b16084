import Errors
import Glibc
import Linux

/// What else on the host has a say in what is forwarded. A packet has to be let through by every table: what ours
/// accepts, another can still refuse.
public struct HostFirewall: Sendable {
  private let program: NFTProgram

  /// - Parameter nft: the program; nil: where distributions put it.
  public init(nft: String? = nil) { program = NFTProgram(path: nft) }

  /// A sentence for each chain of others that is likely to refuse what goes to and from these bridges: which it is, and
  /// what to do. Takes some milliseconds; to be asked for when somebody wants to know.
  ///
  /// - Parameter table: ours, which is left out.
  public func warnings(interfaces: [String], table: String = "apus") -> [String] {
    guard !interfaces.isEmpty else { return [] }
    var warnings: [String] = []
    // Base chains only, without rules: some hosts have tens of thousands.
    let chains = (try? program.run(["list", "chains"])).map(Self.forwarding) ?? []
    for chain in chains where !(chain.family == "inet" && chain.table == table) {
      var rules = rules(of: chain, chain.name)
      guard chain.isDropping || Self.endsRefusing(rules) else { continue }
      var targets: [String] = []
      var next = Self.targets(rules)
      while let target = next.popLast(), targets.count < 64 {
        guard !targets.contains(target) else { continue }
        targets.append(target)
        let more = self.rules(of: chain, target)
        rules += more
        next += Self.targets(more)
      }
      let missing = interfaces.filter { !Self.isNamed($0, in: rules) }
      if !missing.isEmpty { warnings.append(Self.sentence(chain, targets: targets, interfaces: missing)) }
    }
    return warnings + legacyWarnings(interfaces)
  }

  private func rules(of chain: Chain, _ name: String) -> [String] {
    Self.rules((try? program.run(["list", "chain", chain.family, chain.table, name])) ?? "")
  }

  struct Chain: Equatable, Sendable {
    let family: String
    let table: String
    let name: String
    let isDropping: Bool
  }

  /// Those at the forward hook, of what `nft list chains` writes.
  static func forwarding(_ listing: String) -> [Chain] {
    var chains: [Chain] = []
    var table: (family: String, name: String)?
    var name: String?
    for line in listing.split(separator: "\n") {
      let words = line.split { $0 == " " || $0 == "\t" }.map(String.init)
      if words.count >= 4, words[0] == "table" { table = (words[1], words[2]) }
      if words.count >= 3, words[0] == "chain" { name = words[1] }
      guard let table, let name, ["ip", "ip6", "inet"].contains(table.family), words.starts(with: ["type", "filter"]),
        line.contains(" hook forward ")
      else { continue }
      chains.append(
        Chain(family: table.family, table: table.name, name: name, isDropping: line.contains("policy drop")))
    }
    return chains
  }

  /// Of what `nft list chain` writes.
  static func rules(_ listing: String) -> [String] {
    listing.split(separator: "\n").filter { $0.hasPrefix("\t\t") }
      .map { String($0.drop { $0 == "\t" }) }.filter { !$0.hasPrefix("type ") && !$0.hasPrefix("comment ") }
  }

  /// Whether what no rule has decided is refused by the last one.
  static func endsRefusing(_ rules: [String]) -> Bool {
    guard let words = rules.last?.split(separator: " "), let first = words.first else { return false }
    if first == "drop" || first == "reject" { return true }
    // counter packets 0 bytes 0 drop
    return first == "counter" && words.count > 5 && ["drop", "reject"].contains(words[5])
  }

  static func targets(_ rules: [String]) -> [String] {
    rules.compactMap { rule in
      let words = rule.split(separator: " ")
      guard let index = words.firstIndex(where: { $0 == "jump" || $0 == "goto" }), index + 1 < words.endIndex else {
        return nil
      }
      return String(words[index + 1])
    }
  }

  /// Whether some rule is about this interface, by its name or by the beginning of it.
  static func isNamed(_ interface: String, in rules: [String]) -> Bool {
    rules.contains { rule in
      rule.split(separator: "\"").enumerated().contains { index, word in
        guard index % 2 == 1 else { return false }
        return word == interface || word.last == "*" && interface.hasPrefix(word.dropLast())
      }
    }
  }

  static func sentence(_ chain: Chain, targets: [String], interfaces: [String]) -> String {
    let advice: [String]
    let program = chain.family == "ip6" ? "ip6tables" : "iptables"
    let first = interfaces[0]
    if targets.contains("DOCKER-USER") {
      advice = ["\(program) -I DOCKER-USER -i \(first) -j ACCEPT", "\(program) -I DOCKER-USER -o \(first) -j ACCEPT"]
    } else if targets.contains(where: { $0.hasPrefix("ufw-") || $0.hasPrefix("ufw6-") }) {
      advice = ["ufw route allow in on \(first)", "ufw route allow out on \(first)"]
    } else if chain.table == "firewalld" {
      advice = ["firewall-cmd --permanent --zone=trusted --add-interface=\(first)", "firewall-cmd --reload"]
    } else if chain.family != "inet", chain.table == "filter", chain.name == "FORWARD" {
      advice = ["\(program) -I FORWARD -i \(first) -j ACCEPT", "\(program) -I FORWARD -o \(first) -j ACCEPT"]
    } else {
      let place = "\(chain.family) \(chain.table) \(chain.name)"
      advice = ["nft insert rule \(place) iifname \(first) accept", "nft insert rule \(place) oifname \(first) accept"]
    }
    let others = interfaces.count == 1 ? "" : ", and the same for \(interfaces.dropFirst().joined(separator: ", "))"
    return
      "the host's chain \(chain.name) of table \(chain.family) \(chain.table) refuses what is forwarded and no rule of "
      + "it names \(first): published ports and connections to the outside may not work; to let them through: "
      + advice.joined(separator: "; ") + others
  }

  /// iptables as it was before nf_tables keeps its rules where nft does not see them.
  private func legacyWarnings(_ interfaces: [String]) -> [String] {
    let kinds: [(String, String, String)] = [("ip", "ip", "iptables"), ("ip6", "ip6", "ip6tables")]
    return kinds.compactMap { file, family, name -> String? in
      guard let names = try? Files.read("/proc/thread-self/net/\(file)_tables_names", limit: 4096),
        String(decoding: names, as: UTF8.self).split(separator: "\n").contains("filter"),
        let path = ["/usr/sbin", "/sbin"].map({ "\($0)/\(name)-legacy" }).first(where: { (path: String) in
          access(path, X_OK) == 0
        }),
        let rules = try? NFTProgram(path: path).run(["-S", "FORWARD"]), rules.contains("-P FORWARD DROP")
      else { return nil }
      let words = rules.split { $0 == " " || $0 == "\n" }
      let missing = interfaces.filter { interface in
        !words.contains { $0 == interface || $0.last == "+" && interface.hasPrefix($0.dropLast()) }
      }
      guard !missing.isEmpty else { return nil }
      let targets = words.contains("DOCKER-USER") ? ["DOCKER-USER"] : []
      return Self.sentence(
        Chain(family: family, table: "filter", name: "FORWARD", isDropping: true), targets: targets, interfaces: missing
      )
    }
  }
}

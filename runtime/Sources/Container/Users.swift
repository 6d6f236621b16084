import Errors
import Glibc
import Linux
import RuntimeSpec

/// Who a process runs as, with everything looked up.
struct ResolvedUser: Sendable, Equatable {
  var user: UInt32
  var group: UInt32
  var supplementary: [UInt32]
  /// From passwd; `/` where there is none.
  var home: String
}

/// The passwd(5) and group(5) files of a root that nobody trusts.
struct UserDatabase: Sendable {
  struct User: Sendable, Equatable {
    var name: String
    var user: UInt32
    var group: UInt32
    var home: String
  }

  struct Group: Sendable, Equatable {
    var name: String
    var group: UInt32
    var members: [String]
  }

  /// More is not read from either file.
  static let limit = 8 << 20
  /// The kernel's limit of supplementary groups (NGROUPS_MAX).
  static let maximumGroups = 65536

  private let passwd: [UInt8]
  private let groups: [UInt8]

  init(passwd: [UInt8], groups: [UInt8]) {
    self.passwd = passwd
    self.groups = groups
  }

  /// The files below an open root. Missing ones are empty: an image need not have any.
  init(root: Int32) throws(ApusError) {
    func read(_ path: String) throws(ApusError) -> [UInt8] {
      do {
        return try Files.read(at: root, path: path, limit: Self.limit)
      } catch  where [ENOENT, ENOTDIR, ELOOP, ENXIO, EISDIR].contains(error.errno) {
        return []
      }
    }
    passwd = try read("etc/passwd")
    groups = try read("etc/group")
  }

  /// The first user that satisfies `condition`; lines that are not as they should be are skipped.
  func user(where condition: (User) -> Bool) -> User? {
    for line in passwd.split(separator: 0x0a) {
      let fields = line.split(separator: 0x3a, omittingEmptySubsequences: false)
      guard fields.count >= 4, !fields[0].isEmpty, let user = Self.number(fields[2]), let group = Self.number(fields[3])
      else { continue }
      let entry = User(
        name: Self.text(fields[0]), user: user, group: group, home: fields.count > 5 ? Self.text(fields[5]) : "")
      if condition(entry) { return entry }
    }
    return nil
  }

  func eachGroup(_ body: (Group) -> Void) {
    for line in groups.split(separator: 0x0a) {
      let fields = line.split(separator: 0x3a, omittingEmptySubsequences: false)
      guard fields.count >= 3, !fields[0].isEmpty, let group = Self.number(fields[2]) else { continue }
      let members = fields.count > 3 ? fields[3].split(separator: 0x2c).map { Self.text($0) } : []
      body(Group(name: Self.text(fields[0]), group: group, members: members))
    }
  }

  func group(where condition: (Group) -> Bool) -> Group? {
    var found: Group?
    eachGroup { if found == nil, condition($0) { found = $0 } }
    return found
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32? {
    bytes.allSatisfy { (0x30...0x39).contains($0) } ? UInt32(text(bytes)) : nil
  }

  /// Looks up `name|uid[:group|gid]` and further groups, as Docker does: names first, then numbers, which need not be
  /// in any file. Without a group it is that of passwd, and every group that lists the user's name comes along.
  func resolve(_ text: String, additionalGroups: [String]) throws(ApusError) -> ResolvedUser {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map { String($0) }
    let userText = parts.first.flatMap { $0.isEmpty ? nil : $0 } ?? "0"
    let groupText = parts.count > 1 && !parts[1].isEmpty ? parts[1] : nil
    let number = try Self.identifier(userText)
    // A name of digits wins over the number: a user can be called 1000.
    let entry = user { $0.name == userText } ?? number.flatMap { number in user { $0.user == number } }
    guard let id = entry?.user ?? number else {
      throw ApusError(.invalidArgument, "unable to find user \(userText): no matching entries in passwd file")
    }
    var resolved = ResolvedUser(user: id, group: entry?.group ?? 0, supplementary: [], home: "/")
    if let home = entry?.home, !home.isEmpty { resolved.home = home }
    if let groupText {
      resolved.group = try groupNumber(groupText)
    } else if let name = entry?.name {
      eachGroup { group in
        if group.members.contains(name), resolved.supplementary.count < Self.maximumGroups {
          resolved.supplementary.append(group.group)
        }
      }
    }
    for text in additionalGroups {
      let group = try groupNumber(text)
      if !resolved.supplementary.contains(group) { resolved.supplementary.append(group) }
    }
    // The primary group too, so that a program which changes its group keeps being judged by it (CVE-2022-36109).
    if !resolved.supplementary.contains(resolved.group) { resolved.supplementary.insert(resolved.group, at: 0) }
    return resolved
  }

  /// A user given by numbers, with its home where passwd knows it.
  func resolve(_ spec: UserSpec, additionalGroups: [String]) throws(ApusError) -> ResolvedUser {
    let home = user { $0.user == spec.uid }?.home ?? ""
    var groups = spec.additionalGids
    for text in additionalGroups {
      let group = try groupNumber(text)
      if !groups.contains(group) { groups.append(group) }
    }
    return ResolvedUser(user: spec.uid, group: spec.gid, supplementary: groups, home: home.isEmpty ? "/" : home)
  }

  private func groupNumber(_ text: String) throws(ApusError) -> UInt32 {
    let number = try Self.identifier(text)
    if let found = group(where: { $0.name == text }) { return found.group }
    guard let number else {
      throw ApusError(.invalidArgument, "unable to find group \(text): no matching entries in group file")
    }
    return number
  }

  /// A number of a user or group; nil when the text is a name.
  private static func identifier(_ text: String) throws(ApusError) -> UInt32? {
    // Digits, and a minus for the sake of the sentence: Swift also reads a plus, which nobody means (CVE-2026-30892).
    guard let first = text.utf8.first, first != UInt8(ascii: "+"), let number = Int64(text) else { return nil }
    guard (0...Int64(Int32.max)).contains(number) else {
      throw ApusError(.invalidArgument, "uids and gids must be in range 0-\(Int32.max), which \(text) is not")
    }
    return UInt32(number)
  }
}

import CCrypt
import Errors
import FoundationEssentials
import Glibc
import Linux
import NIOPosix
import Synchronization

import struct Crypto.HMAC
import struct Crypto.SHA256
import struct Crypto.SymmetricKey

/// Who may use the registry: a file as `htpasswd -B` makes it, one `user:hash` in a line, bcrypt alone.
final class Passwords: Sendable {
  private let hashes: [String: String]
  /// What an unknown user's password is compared with: it takes as long as a known one's.
  private let decoy: String
  /// Headers that were right, by a keyed hash: bcrypt is slow by intention, and clients send the same for each request.
  private let accepted = Mutex<Set<[UInt8]>>([])
  private let key = SymmetricKey(size: .bits256)
  /// Threads of its own, so that guessing passwords slows nothing but guessing.
  private let threads = NIOThreadPool(numberOfThreads: 1)

  /// - Throws: `invalidArgument` for a line that is none, or has another hash than bcrypt.
  init(file path: String) throws(ApusError) {
    var hashes: [String: String] = [:]
    let text = String(decoding: try Files.read(path, limit: 1 << 20), as: UTF8.self)
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let line = line.filter { $0 != "\r" }
      if line.isEmpty || line.hasPrefix("#") { continue }
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, ["$2y$", "$2b$", "$2a$"].contains(where: { parts[1].hasPrefix($0) }), parts[1].count == 60
      else {
        throw ApusError(
          .invalidArgument, "line \(index + 1) of \(path) has no bcrypt hash: make it with 'htpasswd -B'")
      }
      hashes[String(parts[0])] = String(parts[1])
    }
    guard let first = hashes.values.first else {
      throw ApusError(.invalidArgument, "\(path) names no user: nobody could use the registry")
    }
    self.hashes = hashes
    decoy = first
    threads.start()
  }

  func shutdown() async { try? await threads.shutdownGracefully() }

  /// Does an `Authorization` header open the registry?
  func accepts(_ header: String?) async -> Bool {
    guard let header, header.utf8.count <= 1_024, header.lowercased().hasPrefix("basic "),
      let decoded = Data(base64Encoded: String(header.dropFirst(6).drop { $0 == " " })),
      let colon = decoded.firstIndex(of: 0x3a)
    else { return false }
    let tag = Array(HMAC<SHA256>.authenticationCode(for: decoded, using: key))
    if accepted.withLock({ $0.contains(tag) }) { return true }
    let user = String(decoding: decoded[..<colon], as: UTF8.self)
    let password = Array(decoded[(colon + 1)...])
    guard !password.contains(0) else { return false }
    let hash = hashes[user]
    let right = (try? await threads.runIfActive { [decoy] in Self.matches(password, hash ?? decoy) }) ?? false
    guard right, hash != nil else { return false }
    accepted.withLock { accepted in
      if accepted.count >= 1_000 { accepted.removeAll() }
      accepted.insert(tag)
    }
    return true
  }

  /// crypt_r(3) of a password with the parameters of its hash, compared without telling where they differ.
  static func matches(_ password: [UInt8], _ hash: String) -> Bool {
    let data = UnsafeMutablePointer<crypt_data>.allocate(capacity: 1)
    defer { data.deallocate() }
    memset(data, 0, MemoryLayout<crypt_data>.size)
    let phrase = password.map { CChar(bitPattern: $0) } + [0]
    guard let result = crypt_r(phrase, hash, data) else { return false }
    let made = Array(String(cString: result).utf8)
    let expected = Array(hash.utf8)
    guard made.count == expected.count else { return false }
    return zip(made, expected).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }
}

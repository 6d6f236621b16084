import ImageSpec
import Layers
import Synchronization

/// The uploads that are open. They live as long as the server: a client whose upload is gone begins again.
final class UploadSessions: Sendable {
  private let content: ContentStore
  private let limit: Int
  private let age: Int64
  private let sessions = Mutex<[String: UploadSession]>([:])

  init(content: ContentStore, limits: RegistryServerConfiguration.Limits) {
    self.content = content
    limit = limits.uploads
    age = limits.uploadAge
  }

  /// - Throws: ``Problem``: 429 when too many are open.
  func open(in repository: String, algorithm: Digest.Algorithm) async throws -> UploadSession {
    if sessions.withLock({ $0.count }) >= limit { await collect() }
    let session = try UploadSession(
      identifier: Self.identifier(), repository: repository, content: content, algorithm: algorithm)
    let added = sessions.withLock { sessions in
      guard sessions.count < limit else { return false }
      sessions[session.identifier] = session
      return true
    }
    guard added else {
      throw Problem(.tooManyRequests, .tooManyRequests, "too many uploads are open: finish some, or try again later")
        .with(.retryAfter, "10")
    }
    return session
  }

  /// - Throws: ``Problem`` when the repository has no such upload.
  func find(_ identifier: String, in repository: String) throws(Problem) -> UploadSession {
    guard let session = sessions.withLock({ $0[identifier] }), session.repository == repository else {
      throw Problem(.notFound, .blobUploadUnknown, "there is no such upload: it was finished, cancelled or forgotten")
    }
    return session
  }

  func remove(_ session: UploadSession) async {
    sessions.withLock { _ = $0.removeValue(forKey: session.identifier) }
    await session.close()
  }

  /// Forgets uploads that nobody goes on with.
  func collect() async {
    for session in sessions.withLock({ Array($0.values) }) where await session.isOlder(than: age) {
      await remove(session)
    }
  }

  /// A random UUID (RFC 9562, version 4): who knows it may write to the upload.
  private static func identifier() -> String {
    var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
    bytes[6] = bytes[6] & 0x0f | 0x40
    bytes[8] = bytes[8] & 0x3f | 0x80
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for (index, byte) in bytes.enumerated() {
      if [4, 6, 8, 10].contains(index) { text.append(0x2d) }
      text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
    return String(decoding: text, as: UTF8.self)
  }
}

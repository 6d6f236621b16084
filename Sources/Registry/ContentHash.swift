import ImageSpec

import struct Crypto.SHA256
import struct Crypto.SHA512

/// SHA-2 over bytes in memory, as digests name it.
public enum ContentHash {
  public static func digest(of bytes: [UInt8], algorithm: Digest.Algorithm = .sha256) -> Digest {
    let digest =
      switch algorithm {
      case .sha256: Digest(bytes: SHA256.hash(data: bytes))
      case .sha512: Digest(bytes: SHA512.hash(data: bytes))
      }
    guard let digest else { preconditionFailure("a hash has the length of its algorithm") }
    return digest
  }
}

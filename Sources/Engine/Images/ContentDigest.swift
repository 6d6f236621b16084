import ImageSpec

import struct Crypto.SHA256

enum ContentDigest {
  static func sha256(_ bytes: [UInt8]) -> Digest {
    guard let digest = Digest(bytes: SHA256.hash(data: bytes)) else {
      preconditionFailure("SHA-256 has 32 bytes")
    }
    return digest
  }
}

import Errors
import ImageSpec

import struct Crypto.SHA256
import struct Crypto.SHA512

/// SHA-256 or SHA-512, as a digest asks.
struct ContentHasher {
  private var sha256: SHA256?
  private var sha512: SHA512?

  init(_ algorithm: Digest.Algorithm) {
    if algorithm == .sha256 { sha256 = SHA256() } else { sha512 = SHA512() }
  }

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    sha256?.update(bufferPointer: bytes)
    sha512?.update(bufferPointer: bytes)
  }

  func finish() throws(ApusError) -> Digest {
    guard
      let digest = sha256.flatMap({ Digest(bytes: $0.finalize()) }) ?? sha512.flatMap({ Digest(bytes: $0.finalize()) })
    else { throw ApusError(.internal, "a hash has a length that no digest has") }
    return digest
  }
}

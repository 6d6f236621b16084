import Errors
import Glibc
import ImageSpec
import Linux

/// How a store keeps one thing for each digest: `<root>/<algorithm>/<hex>`.
struct DigestDirectories: Sendable {
  let root: String

  /// - Throws: when the directories cannot be made.
  init(root: String) throws(ApusError) {
    self.root = root
    // Nobody else may come near the set-user-ID programs that may be in there.
    for algorithm in Digest.Algorithm.allCases {
      try Files.makeDirectories("\(root)/\(algorithm.rawValue)", mode: 0o700)
    }
  }

  func path(for digest: Digest) -> String { "\(root)/\(digest.algorithm.rawValue)/\(digest.hex)" }

  /// Bytes of the file of that name; nil when there is none.
  func size(of digest: Digest) -> Int64? {
    var status = stat()
    return lstat(path(for: digest), &status) == 0 ? Int64(status.st_size) : nil
  }

  /// What is there, in no order.
  func all() throws(ApusError) -> [Digest] {
    var result: [Digest] = []
    for algorithm in Digest.Algorithm.allCases {
      let directory = try Files.open("\(root)/\(algorithm.rawValue)", flags: O_RDONLY | O_DIRECTORY)
      for entry in try Files.entries(of: directory.raw) {
        if let digest = Digest(algorithm: algorithm, hex: entry.name) { result.append(digest) }
      }
    }
    return result
  }
}

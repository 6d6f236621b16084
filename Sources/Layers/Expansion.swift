import Errors

/// Watches what comes out of a stream for how little has gone into it: archives can be made that fill any disk.
struct Expansion {
  private let limits: LayerLimits
  private var received: Int64 = 0

  init(_ limits: LayerLimits) { self.limits = limits }

  mutating func receive(_ count: Int) { received += Int64(count) }

  /// - Parameters:
  ///   - produced: bytes so far.
  ///   - what: "the layer", for the sentence.
  /// - Throws: `resourceExhausted`.
  @inline(__always)
  func check(_ produced: Int64, _ what: StaticString) throws(ApusError) {
    if produced > limits.totalSize { throw Self.tooLarge(what, limits.totalSize) }
    if produced > limits.freeSize, produced / limits.ratio > received {
      throw ApusError(
        .resourceExhausted, "\(what) expands to more than \(limits.ratio) times its size: it looks like an attack")
    }
  }

  private static func tooLarge(_ what: StaticString, _ limit: Int64) -> ApusError {
    ApusError(.resourceExhausted, "\(what) is larger than the \(limit) bytes that are allowed uncompressed")
  }
}

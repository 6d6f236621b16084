import ImageSpec
import Synchronization

/// Content that an operation under way needs, or is about to make, and that the garbage collector must leave alone.
///
/// A hold on named digests leaves everything else free to be collected; a hold on everything is for operations that
/// learn only at their end what they made (load, import, commit). What could not be collected because of a hold is
/// collected when the last one goes.
final class ContentHolds: Sendable {
  private struct State {
    var everything = 0
    var digests: [Digest: Int] = [:]
    var postponed: Set<StoredItem> = []
  }
  private let state = Mutex(State())

  func add(_ digests: [Digest]?) {
    state.withLock { state in
      guard let digests else { return state.everything += 1 }
      for digest in digests { state.digests[digest, default: 0] += 1 }
    }
  }

  /// - Returns: what may have become collectable by this.
  func remove(_ digests: [Digest]?) -> Set<StoredItem> {
    state.withLock { state in
      if let digests {
        for digest in digests {
          let count = (state.digests[digest] ?? 1) - 1
          state.digests[digest] = count > 0 ? count : nil
        }
      } else {
        state.everything -= 1
      }
      guard state.everything == 0, !state.postponed.isEmpty else { return [] }
      let free = state.postponed.filter { state.digests[$0.digest] == nil }
      state.postponed.subtract(free)
      return free
    }
  }

  /// Runs `remove` unless somebody holds the item; nobody can get hold of it meanwhile. One file's removal long.
  func collecting(_ item: StoredItem, _ remove: () throws -> Void) rethrows {
    try state.withLock { state in
      guard state.everything == 0, state.digests[item.digest] == nil else {
        state.postponed.insert(item)
        return
      }
      try remove()
    }
  }
}

/// A hold that ends with ``release()``, at the latest with its last reference.
public final class ContentHold: Sendable {
  private let digests: [Digest]?
  private let released = Mutex(false)
  private let owner: ImageService

  init(_ digests: [Digest]?, owner: ImageService) {
    self.digests = digests
    self.owner = owner
    owner.holds.add(digests)
  }

  deinit { release() }

  public func release() {
    let first = released.withLock { done in
      defer { done = true }
      return !done
    }
    guard first else { return }
    let candidates = owner.holds.remove(digests)
    if !candidates.isEmpty { owner.collectLater(candidates) }
  }
}

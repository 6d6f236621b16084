import Synchronization

/// What several tasks of one operation have put into the store, for who has to take it out again.
final class MadeItems: Sendable {
  private let items = Mutex<Set<StoredItem>>([])

  var all: Set<StoredItem> { items.withLock { $0 } }

  func insert(_ new: Set<StoredItem>) { items.withLock { $0.formUnion(new) } }
}

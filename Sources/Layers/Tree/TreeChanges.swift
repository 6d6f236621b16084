import Errors
import Glibc
import Linux

extension Tree {
  /// What the upper directory of an overlay changes of its lower ones (top first), sorted by path. As with Docker, a
  /// directory is modified when something in it is, and what was only touched is not.
  public static func changes(
    upper: Int32, lowers: [Int32], cancelled: @escaping Cancellation = { false }
  ) throws(ApusError) -> [Change] {
    var lower: [OwnedDescriptorBox] = []
    for descriptor in lowers { lower.append(OwnedDescriptorBox(try TreeStep.reopen(directory: descriptor))) }
    var walk = ChangeWalk(cancelled: cancelled)
    _ = try walk.visit(upper, path: "", lower: lower)
    return walk.changes.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
  }
}

/// A descriptor that arrays can hold; closed with its last reference.
final class OwnedDescriptorBox {
  private let descriptor: OwnedDescriptor
  init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
  var raw: Int32 { descriptor.raw }
}

private struct ChangeWalk {
  let cancelled: Tree.Cancellation
  var changes: [Tree.Change] = []
  private var depth = 0

  init(cancelled: @escaping Tree.Cancellation) { self.cancelled = cancelled }

  /// What a name is below the upper directory: the merged view of all lower layers.
  private struct Below {
    var status: EntryStatus
    /// The directories that merge, top first.
    var directories: [OwnedDescriptorBox] = []
  }

  /// True when anything in the directory changed.
  /// - Parameter lower: the directories below this one, top first; empty for a new directory.
  mutating func visit(_ directory: Int32, path: String, lower: [OwnedDescriptorBox]) throws(ApusError) -> Bool {
    if cancelled() { throw ApusError(.internal, "the comparison was cancelled") }
    depth += 1
    defer { depth -= 1 }
    guard depth < TreeStep.depthLimit else {
      throw ApusError(
        .resourceExhausted, "'\(path.prefix(200))' is nested deeper than \(TreeStep.depthLimit) directories")
    }
    var changed = false
    for name in try TreeStep.list(directory) {
      guard let status = try EntryStatus.find(name, at: directory) else { continue }
      let child = path + "/" + String(decoding: name.bytes, as: UTF8.self)
      let below = try find(name, in: lower)
      if status.isWhiteout {
        guard below != nil else { continue }
        changes.append(Tree.Change(path: child, kind: .deleted))
        changed = true
      } else {
        let differs = try compare(status, below, name, in: directory, path: child)
        changed = changed || differs
      }
    }
    return changed
  }

  private mutating func compare(
    _ status: EntryStatus, _ below: Below?, _ name: EntryName, in directory: Int32, path: String
  ) throws(ApusError) -> Bool {
    var differs = below.map { Self.differ(status, $0.status) } ?? true
    let position = changes.count
    if status.isDirectory {
      let opened = try TreeStep.openDirectory(name, at: directory)
      let isOpaque = try Self.isOpaque(opened.raw)
      if try visit(opened.raw, path: path, lower: isOpaque ? [] : below?.directories ?? []) { differs = true }
      if isOpaque, let below, try reportHidden(opened.raw, path: path, lower: below.directories) { differs = true }
    }
    if differs { changes.insert(Tree.Change(path: path, kind: below == nil ? .added : .modified), at: position) }
    return differs
  }

  /// Nothing below shows through an opaque directory: what was there and is not here is deleted; what is here again
  /// was noted as added and is modified in truth.
  private mutating func reportHidden(
    _ directory: Int32, path: String, lower: [OwnedDescriptorBox]
  ) throws(ApusError) -> Bool {
    let here = Set(try TreeStep.list(directory))
    var seen: Set<EntryName> = []
    var any = false
    for descriptor in lower {
      for name in try TreeStep.list(descriptor.raw) where seen.insert(name).inserted {
        guard try find(name, in: lower) != nil else { continue }
        let child = path + "/" + String(decoding: name.bytes, as: UTF8.self)
        if !here.contains(name) {
          changes.append(Tree.Change(path: child, kind: .deleted))
          any = true
        } else if let index = changes.lastIndex(where: { $0.path == child && $0.kind == .added }) {
          changes[index].kind = .modified
        }
      }
    }
    return any
  }

  private static func isOpaque(_ directory: Int32) throws(ApusError) -> Bool {
    try ExtendedAttributes.get("trusted.overlay.opaque", of: directory) == [UInt8(ascii: "y")]
  }

  private func find(_ name: EntryName, in lower: [OwnedDescriptorBox]) throws(ApusError) -> Below? {
    var result: Below?
    for descriptor in lower {
      guard let status = try EntryStatus.find(name, at: descriptor.raw) else { continue }
      if status.isWhiteout { break }
      guard status.isDirectory else {
        if result == nil { result = Below(status: status) }
        break
      }
      let opened = try TreeStep.openDirectory(name, at: descriptor.raw)
      let isOpaque = try Self.isOpaque(opened.raw)
      if result == nil { result = Below(status: status) }
      result?.directories.append(OwnedDescriptorBox(opened))
      if isOpaque { break }
    }
    return result
  }

  private static func differ(_ new: EntryStatus, _ old: EntryStatus) -> Bool {
    if new.mode != old.mode || new.uid != old.uid || new.gid != old.gid { return true }
    if new.deviceMajor != old.deviceMajor || new.deviceMinor != old.deviceMinor { return true }
    // Size and time of a directory change with what is in it.
    if new.isDirectory { return false }
    return new.size != old.size || new.modifiedSeconds != old.modifiedSeconds
      || new.modifiedNanoseconds != old.modifiedNanoseconds
  }
}

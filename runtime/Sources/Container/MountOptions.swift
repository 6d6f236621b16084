import Errors
import Glibc
import Linux
import RuntimeSpec

/// The options of one entry of `mounts` (config.md, Linux mount options), sorted by what they change.
struct MountOptions: Sendable, Equatable {
  var bind = false
  var recursiveBind = false
  /// Attributes of the mount itself.
  var set: Mounts.Attributes = []
  var clear: Mounts.Attributes = []
  /// Attributes of the mount and of all below it.
  var recursiveSet: Mounts.Attributes = []
  var recursiveClear: Mounts.Attributes = []
  var propagation: Mounts.Propagation?
  var recursivePropagation = false
  /// For the file system, `key` or `key=value`.
  var data: [String] = []

  private static let attributes: [String: (Mounts.Attributes, Bool)] = [
    "ro": (.readOnly, true), "rw": (.readOnly, false),
    "nosuid": (.noSetUserID, true), "suid": (.noSetUserID, false),
    "nodev": (.noDevices, true), "dev": (.noDevices, false),
    "noexec": (.noExecute, true), "exec": (.noExecute, false),
    "noatime": (.noAccessTime, true), "atime": (.noAccessTime, false),
    "strictatime": (.strictAccessTime, true), "nostrictatime": (.strictAccessTime, false),
    "nodiratime": (.noDirectoryAccessTime, true), "diratime": (.noDirectoryAccessTime, false),
    "nosymfollow": (.noSymbolicLinks, true), "symfollow": (.noSymbolicLinks, false),
  ]

  private static let propagations: [String: Mounts.Propagation] = [
    "private": .private, "slave": .slave, "shared": .shared, "unbindable": .unbindable,
  ]

  init(_ options: [String], destination: String) throws(ApusError) {
    for option in options {
      switch option {
      case "", "defaults", "relatime", "norelatime", "async", "nolazytime", "nomand", "loud", "copyup":
        // The kernel's own defaults.
        continue
      case "bind": bind = true
      case "rbind": (bind, recursiveBind) = (true, true)
      case "remount", "tmpcopyup", "idmap", "ridmap":
        throw ApusError(
          .unsupported, "the mount option \"\(option)\" of \(destination) is not supported")
      default:
        if add(option, to: \.set, clearing: \.clear) { continue }
        if option.first == "r", add(String(option.dropFirst()), to: \.recursiveSet, clearing: \.recursiveClear) {
          continue
        }
        if let propagation = Self.propagations[option] {
          (self.propagation, recursivePropagation) = (propagation, false)
        } else if option.first == "r", let propagation = Self.propagations[String(option.dropFirst())] {
          (self.propagation, recursivePropagation) = (propagation, true)
        } else {
          data.append(option)
        }
      }
    }
  }

  private mutating func add(
    _ option: String, to set: WritableKeyPath<Self, Mounts.Attributes>,
    clearing clear: WritableKeyPath<Self, Mounts.Attributes>
  ) -> Bool {
    guard let (attribute, isSet) = Self.attributes[option] else { return false }
    // The last one wins, as with mount(8).
    if isSet {
      self[keyPath: set].insert(attribute)
      self[keyPath: clear].remove(attribute)
    } else {
      self[keyPath: clear].insert(attribute)
      self[keyPath: set].remove(attribute)
    }
    return true
  }
}

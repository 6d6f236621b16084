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
  /// The mount shows other owners than its source has; also those below it.
  var idMapped = false
  var recursivelyMapped = false
  /// A new file system in memory begins with what is at its destination.
  var copiesUp = false
  /// What is mounted at the destination already is changed.
  var remounts = false
  /// For the file system, `key` or `key=value`.
  var data: [String] = []

  private static let attributes: [String: (Mounts.Attributes, Bool)] = [
    "ro": (.readOnly, true), "rw": (.readOnly, false),
    "nosuid": (.noSetUserID, true), "suid": (.noSetUserID, false),
    "nodev": (.noDevices, true), "dev": (.noDevices, false),
    "noexec": (.noExecute, true), "exec": (.noExecute, false),
    "noatime": (.noAccessTime, true), "atime": (.accessTimeMask, false),
    "strictatime": (.strictAccessTime, true), "nostrictatime": (.accessTimeMask, false),
    "nodiratime": (.noDirectoryAccessTime, true), "diratime": (.noDirectoryAccessTime, false),
    "nosymfollow": (.noSymbolicLinks, true), "symfollow": (.noSymbolicLinks, false),
    // The kernel's own way of keeping access times is the one without a bit.
    "relatime": (.accessTimeMask, false), "norelatime": (.accessTimeMask, false),
  ]

  private static let propagations: [String: Mounts.Propagation] = [
    "private": .private, "slave": .slave, "shared": .shared, "unbindable": .unbindable,
  ]

  /// All names that are not a file system's own.
  static let names: [String] =
    ([
      "bind", "rbind", "defaults", "async", "nolazytime", "nomand", "noiversion", "loud", "silent", "idmap", "ridmap",
      "tmpcopyup", "remount", "dirsync", "sync", "lazytime", "mand", "iversion",
    ]
    + attributes.keys + attributes.keys.map { "r" + $0 } + propagations.keys + propagations.keys.map { "r" + $0 })
    .sorted()

  init(_ options: [String]) {
    for option in options {
      switch option {
      case "", "defaults", "async", "nolazytime", "nomand", "noiversion", "iversion", "loud", "silent":
        // The kernel's own defaults, or without an effect for it.
        continue
      case "bind": bind = true
      case "rbind": (bind, recursiveBind) = (true, true)
      case "idmap": idMapped = true
      case "ridmap": (idMapped, recursivelyMapped) = (true, true)
      case "tmpcopyup", "copyup": copiesUp = true
      case "remount": remounts = true
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
    if !attribute.isDisjoint(with: .accessTimeMask) {
      self[keyPath: set].subtract(.accessTimeMask)
      self[keyPath: clear].subtract(.accessTimeMask)
    }
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

import Errors
import Linux

/// Operations on a file tree that somebody else controls (a container's root, a volume), given as a descriptor of its
/// root directory. Every path is walked inside that root (openat2 `RESOLVE_IN_ROOT`) and everything found is used by
/// descriptor. All of it blocks: call it on a thread. The descriptors given stay the caller's.
public enum Tree {
  /// Asked now and then by what takes long; `true` ends it with an error.
  public typealias Cancellation = () -> Bool

  /// What a path names, itself: a symbolic link in its last component is not followed.
  public struct Status: Sendable, Equatable {
    /// Last component of the path as it was asked for; `/` for the root.
    public var name: String
    public var size: Int64
    /// st_mode: type and permission bits. See ``Tree/goMode(_:)`` for Docker's form.
    public var mode: UInt32
    /// Since 1970.
    public var modifiedSeconds: Int64
    public var modifiedNanoseconds: Int
    /// Where a symbolic link ends, as a path inside the root; empty for everything else.
    public var linkTarget: String
  }

  public struct Owner: Sendable, Equatable {
    public var uid: UInt32
    public var gid: UInt32
    public init(uid: UInt32, gid: UInt32) {
      self.uid = uid
      self.gid = gid
    }
  }

  public struct ExtractOptions: Sendable {
    /// A directory is not replaced by something else, nor the reverse: an error instead.
    public var noOverwriteDirNonDir = false
    /// Everything belongs to this owner, whatever the archive says (Docker's copyUIDGID).
    public var owner: Owner?
    /// Bounds, as for a layer.
    public var limits = LayerLimits()
    public init() {}
  }

  public enum ChangeKind: Sendable { case modified, added, deleted }

  public struct Change: Sendable, Equatable {
    /// Absolute in the container.
    public var path: String
    public var kind: ChangeKind
  }

  public struct Usage: Sendable, Equatable {
    /// Sizes of all files but directories, as Docker counts; a file with several hard links counts once.
    public var bytes: Int64
    /// Bytes on disk, directories included.
    public var allocated: Int64
    public var inodes: Int64
  }
}

import Errors
import Glibc
import Linux
import RuntimeSpec

/// What a container's root is made of: an overlay, mounted in the container's own mount namespace.
public struct RootFilesystem: Sendable, Equatable {
  /// Directories of the host, the top layer first.
  public var lower: [String]
  /// Where changes go; without it and ``work`` the root is read-only.
  public var upper: String?
  /// overlayfs's scratch directory, on the file system of ``upper``.
  public var work: String?
  /// Whether ``upper`` is of no use after the container's end: nothing of it is forced to the disk then, neither by
  /// fsync(2) nor when the root is taken apart (overlayfs's `volatile`).
  public var isTemporary: Bool

  public init(lower: [String], upper: String? = nil, work: String? = nil, isTemporary: Bool = false) {
    self.lower = lower
    self.upper = upper
    self.work = work
    self.isTemporary = isTemporary
  }
}

/// Where a process in a container reads and writes.
public enum ProcessStreams: Sendable, Equatable {
  /// Descriptors of the caller, who keeps them; they become 0, 1 and 2.
  case descriptors(input: Int32, output: Int32, error: Int32)
  /// A new terminal from the container's own devpts; 0 rows or columns leave the size unset.
  case terminal(rows: UInt16, columns: UInt16)
}

/// Everything ``Container/create(_:)`` needs.
public struct ContainerConfiguration: Sendable {
  public var id: String
  public var spec: Spec
  /// Nil: `spec.root.path`, a directory of the host.
  public var root: RootFilesystem?
  /// `name|uid[:group|gid]`, looked up in the root's own passwd and group. Nil: `spec.process.user` as it is.
  public var user: String?
  /// Further groups by name or number, looked up likewise.
  public var additionalGroups: [String]
  /// Make a missing working directory.
  public var createWorkingDirectory: Bool
  /// Run the program below a PID 1 that reaps orphans and forwards signals.
  public var useInit: Bool
  public var streams: ProcessStreams
  /// Where compiled seccomp programs are kept; nil: compile each time.
  public var seccompCacheDirectory: String?
  /// A file that has the filter's configuration in the place of `spec.linux.seccomp`, without an agent. Its name means
  /// its contents; its compiled program is kept beside it.
  public var seccompDocument: String?
  /// Whether the kernel kills the container when the calling process ends. For a caller that is its shim.
  public var endsWithCaller: Bool
  /// The directory of the OCI bundle, as hooks are told.
  public var bundle = ""
  /// For a container that another process will start; ``Container/start()`` is not for it.
  public var handover: Handover?
  /// How many of the caller's descriptors from 3 on the program gets, under the same numbers.
  public var preservedDescriptors: Int32 = 0
  /// Whether pivot_root(2) leaves the host's tree: not on a root that is the kernel's initial ramdisk, which cannot be left.
  public var pivots = true
  /// Whether a relative (or no) `cgroupsPath` means a place beside this process's own group, rather than one at the top.
  /// Only with cgroup v2: the hierarchies of v1 need not agree on where that is.
  public var cgroupsBelowOwn = false
  /// The control group is one that systemd makes; nil: by files, at `cgroupsPath`.
  public var systemd: SystemdPlacement?
  /// Whether the container has a session keyring of its own.
  public var ownKeyring = true
  /// Called in the caller while the new process, whose number it gets, sets itself up; with what has to be kept to take
  /// the container up again. An error ends the creation.
  public var whenMade: (@Sendable (pid_t, ContainerRecord) throws(ApusError) -> Void)?
  /// Hooks of the runtime's own namespace (`prestart`, `createRuntime`): called in the caller when all is mounted and the
  /// host's tree has not been left. An error ends the creation.
  public var runtimeHooks: (@Sendable (pid_t) throws(ApusError) -> Void)?

  /// The group above those of containers that have no `cgroupsPath`; it is removed with the last of them.
  public static let defaultCgroupParent = "apus-runtime"

  /// Where its control group is to be, without a slash in front.
  public var cgroupPath: String {
    if let systemd { return systemd.path }
    let wanted = spec.linux?.cgroupsPath ?? ""
    let path = wanted.drop { $0 == "/" }
    let parent = cgroupsBelowOwn && !wanted.hasPrefix("/") ? Cgroups.ownParent : ""
    return parent + (path.isEmpty ? "\(Self.defaultCgroupParent)/\(id)" : path)
  }

  public init(
    id: String, spec: Spec, root: RootFilesystem? = nil, user: String? = nil, additionalGroups: [String] = [],
    createWorkingDirectory: Bool = false, useInit: Bool = false, streams: ProcessStreams,
    seccompCacheDirectory: String? = nil, endsWithCaller: Bool = false
  ) {
    self.id = id
    self.spec = spec
    self.root = root
    self.user = user
    self.additionalGroups = additionalGroups
    self.createWorkingDirectory = createWorkingDirectory
    self.useInit = useInit
    self.streams = streams
    self.seccompCacheDirectory = seccompCacheDirectory
    self.endsWithCaller = endsWithCaller
  }
}

/// Everything ``Container/exec(_:)`` needs.
public struct ExecConfiguration: Sendable {
  /// `terminal` and `consoleSize` are ignored: ``streams`` decides.
  public var process: ProcessSpec
  /// As in ``ContainerConfiguration/user``.
  public var user: String?
  public var additionalGroups: [String]
  public var streams: ProcessStreams
  /// As in ``ContainerConfiguration/preservedDescriptors``.
  public var preservedDescriptors: Int32 = 0
  /// As in ``ContainerConfiguration/ownKeyring``.
  public var ownKeyring = true
  /// A group below the container's that the process enters; empty for the container's own.
  public var cgroup = ""
  /// Whether to execute in a paused container, where the process stands still until the container goes on.
  public var ignoresPause = false

  public init(process: ProcessSpec, user: String? = nil, additionalGroups: [String] = [], streams: ProcessStreams) {
    self.process = process
    self.user = user
    self.additionalGroups = additionalGroups
    self.streams = streams
  }
}

import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// A container on this host's kernel: namespaces, a cgroup, and a first process.
///
/// For a caller with a single thread, which is the parent of all processes made here. ``create(_:)`` leaves the first
/// process waiting just before its program, ``start()`` lets it go. The caller reaps the process when it ends, then
/// calls ``killAll()`` and ``removeCgroup()``; both also work in any other state, and again.
public final class Container {
  public let id: String
  /// The first process, as the host numbers it.
  public let process: pid_t
  /// Becomes readable when the first process ends.
  public let processDescriptor: OwnedDescriptor
  /// The path of its cgroup, the same in every hierarchy.
  public let cgroupPath: String
  let cgroups: any CgroupDriver
  let namespaces: Namespaces
  /// The seccomp program of the container, which executed processes get too.
  let filter: [UInt8]
  let filterFlags: UInt32
  /// Who answers the calls that the filter leaves open, and what it is told of the container.
  let agent: (agent: SeccompAgent, state: ContainerState)?
  /// The execution domain of its processes; nil to keep the caller's.
  let domain: UInt?
  /// The other end is the first process, until its program runs; -1 afterwards.
  var channel: Int32
  private var terminal: Int32
  /// The container's root, or -1. The end of an overlay writes the whole file system below it to the disk, which takes
  /// as long as there is data of anybody: not while the container's end is waited for, but when this is closed.
  private var root: Int32

  init(
    id: String, process: pid_t, processDescriptor: consuming OwnedDescriptor, cgroupPath: String,
    cgroups: any CgroupDriver, namespaces: Namespaces, filter: [UInt8], filterFlags: UInt32,
    agent: (agent: SeccompAgent, state: ContainerState)? = nil, domain: UInt? = nil, channel: Int32, terminal: Int32,
    root: Int32
  ) {
    self.id = id
    self.process = process
    self.processDescriptor = processDescriptor
    self.cgroupPath = cgroupPath
    self.cgroups = cgroups
    self.namespaces = namespaces
    self.filter = filter
    self.filterFlags = filterFlags
    self.agent = agent
    self.domain = domain
    self.channel = channel
    self.terminal = terminal
    self.root = root
  }

  deinit {
    releaseRoot()
    if channel >= 0 { close(channel) }
    if terminal >= 0 { close(terminal) }
  }

  /// Lets go of the container's root, which otherwise lives as long as this object: call it when the container has
  /// ended and everybody has been told. May block for as long as the disk needs.
  public func releaseRoot() {
    if root >= 0 { close(root) }
    root = -1
  }

  /// The master of the first process's terminal, which the caller owns from now on; nil without one or when taken.
  public func takeTerminal() -> OwnedDescriptor? {
    guard terminal >= 0 else { return nil }
    defer { terminal = -1 }
    return OwnedDescriptor(owning: terminal)
  }
}

/// A process executed in a running container.
public struct ExecProcess: ~Copyable {
  /// As the host numbers it; a child of the caller, who reaps it.
  public let process: pid_t
  private var terminal: Int32

  init(process: pid_t, terminal: Int32) {
    self.process = process
    self.terminal = terminal
  }

  deinit { if terminal >= 0 { close(terminal) } }

  /// The master of its terminal, which the caller owns from now on.
  public mutating func takeTerminal() -> OwnedDescriptor? {
    guard terminal >= 0 else { return nil }
    defer { terminal = -1 }
    return OwnedDescriptor(owning: terminal)
  }
}

/// Why a program could not be executed: the cause of an ``ApusError`` thrown by ``Container/start()``,
/// ``Container/create(_:)`` and ``Container/exec(_:)``.
public struct ExecFailure: Error, Sendable, Equatable {
  public let program: String
  /// errno(3) of execve(2), or of the search for the program.
  public let errno: Int32

  /// What a shell answers: 127 when there is no such program, 126 when it cannot be executed.
  public var exitStatus: Int32 { errno == ENOENT || errno == ENOTDIR ? 127 : 126 }

  public init(program: String, errno: Int32) {
    self.program = program
    self.errno = errno
  }
}

import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// A container made ahead of its request, as far as the usual request goes: a process in new namespaces and in the
/// cgroup, with the file systems that most containers have. What a start then costs is what its request adds.
///
/// For a caller with a single thread, like ``Container``.
public final class ContainerPreparation {
  /// Reads a request in the new process. The descriptors are those that ``complete(_:request:descriptors:)`` was given.
  public typealias Decoder = (_ request: [UInt8], _ descriptors: [Int32]) throws(ApusError) -> ContainerConfiguration

  /// Bytes; a packet of a socket has to take it.
  public static let longestRequest = 128 * 1024

  private let plan: Plan
  private let cgroups: any CgroupDriver
  /// The first process: it has its namespaces, and waits.
  public let process: pid_t
  private let processDescriptor: Int32
  private let channel: Int32
  /// Whether the descriptors and the process are somebody else's, or gone.
  private var isOver = false

  /// - Parameter configuration: what most requests will have: namespaces, cgroup, mounts, covered paths, sysctls,
  ///   resources. Binds, program and user are of no interest.
  /// - Throws: `unsupported` for a shape that cannot be made ahead. Nothing is left behind.
  public init(_ configuration: ContainerConfiguration, decode: @escaping Decoder) throws(ApusError) {
    var plan = try Plan(configuration)
    let cgroups = try Cgroups.detect()
    plan.cgroupVersion = cgroups.version
    plan.sharesCgroup = (try? cgroups.processes(plan.cgroupPath).isEmpty) == false
    guard Self.isSupported(plan) else {
      throw ApusError(.unsupported, "a container of this shape cannot be made ahead")
    }
    self.plan = plan
    self.cgroups = cgroups
    var pair = try UnixSocket.pair(.packets)
    var descriptor: Int32 = -1
    do throws(ApusError) {
      let target = try cgroups.makeCloneTarget(plan.cgroupPath)
      defer { if target >= 0 { close(target) } }
      let prepared = PreparedProcess(plan: plan, cgroups: cgroups, channel: pair.second.raw, decode: decode)
      let ours = pair.first.raw
      let mounts = UInt64(UInt32(bitPattern: Namespaces.Kind.mount.rawValue))
      let child = clinux_clone3(plan.namespaces.cloneFlags & ~mounts, &descriptor, SIGCHLD, target)
      if child == 0 {
        close(ours)
        prepared.run()
      }
      process = try check(child, "cannot make the first process of \(configuration.id)")
    } catch {
      if !plan.sharesCgroup { try? cgroups.remove(plan.cgroupPath) }
      throw error
    }
    pair.second = OwnedDescriptor(owning: -1)
    channel = pair.first.release()
    processDescriptor = descriptor
    do throws(ApusError) {
      try cgroups.create(plan.cgroupPath, resources: plan.limits)
      try Channel.send(.cgroup, on: channel)
      var (terminal, root): (Int32, Int32) = (-1, -1)
      try Container.awaitReady(on: channel, terminal: &terminal, root: &root)
    } catch {
      discard()
      throw error
    }
  }

  deinit { discard() }

  /// Namespaces of its own or the host's, and nobody else's.
  private static func isSupported(_ plan: Plan) -> Bool {
    plan.isUsual && plan.namespaces.joined.isEmpty && plan.namespaces.makes(.process) && !plan.namespaces.makes(.user)
      && !plan.namespaces.makes(.time)
  }

  /// The container, waiting just before its program as after ``Container/create(_:)``; nil where the request is of
  /// another shape, or the process has gone. Then nothing of it is left, and the container is to be created anew.
  ///
  /// - Parameters:
  ///   - configuration: the request.
  ///   - request: the same, as the new process will decode it.
  ///   - descriptors: what goes along to it, at most three.
  ///   - meanwhile: called while the new process works on the request. Not where nil is returned; its error ends the
  ///     container.
  public func complete(
    _ configuration: ContainerConfiguration, request: [UInt8], descriptors: [Int32],
    meanwhile: () throws(ApusError) -> Void = {}
  ) throws(ApusError) -> Container? {
    guard !isOver, !request.isEmpty, request.count <= Self.longestRequest else { return abandon() }
    var new: Plan
    do throws(ApusError) {
      new = try Plan(configuration, ahead: plan)
    } catch {
      discard()
      throw error
    }
    new.cgroupVersion = cgroups.version
    new.sharesCgroup = plan.sharesCgroup
    guard fits(new) else { return abandon() }
    // A limit below what is in use already is refused, though it might do from the beginning.
    if new.limits != plan.limits, (try? cgroups.update(new.cgroupPath, resources: new.limits)) == nil {
      return abandon()
    }
    // Not before it is known to fit: a process that is given up must not have begun on the same layers.
    guard (try? UnixSocket.send(request, descriptors: descriptors, on: channel)) != nil else { return abandon() }
    do throws(ApusError) {
      try meanwhile()
    } catch {
      discard()
      throw error
    }
    isOver = true
    do throws(ApusError) {
      return try Container.finish(
        new, cgroups: cgroups, process: process, descriptor: OwnedDescriptor(owning: processDescriptor),
        channel: OwnedDescriptor(owning: channel))
    } catch {
      if !plan.sharesCgroup { try? cgroups.remove(plan.cgroupPath) }
      throw error
    }
  }

  private func fits(_ new: Plan) -> Bool {
    // The process is at work on the request already: other devices it might need before they are allowed.
    new.isUsual && new.limits.devices == plan.limits.devices && new.namespaces == plan.namespaces
      && new.cgroupPath == plan.cgroupPath
      && new.linux.sysctl == plan.linux.sysctl
      && new.configuration.endsWithCaller == plan.configuration.endsWithCaller
  }

  private func abandon() -> Container? {
    discard()
    return nil
  }

  /// Ends the process and removes the cgroup. More than once is fine.
  public func discard() {
    guard !isOver else { return }
    isOver = true
    _ = try? Processes.send(signal: SIGKILL, to: processDescriptor)
    _ = try? Processes.wait(for: process)
    close(processDescriptor)
    close(channel)
    if !plan.sharesCgroup { try? cgroups.remove(plan.cgroupPath) }
  }
}

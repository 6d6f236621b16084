import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// The first process of a container whose request is still to come: it has its namespaces (but for that of mounts, so
/// that it misses no mount made on the host meanwhile) and its cgroup, has made what is the same for most requests, and
/// waits. Runs in the child, as ``FirstProcess`` does.
struct PreparedProcess {
  let plan: Plan
  let cgroups: any CgroupDriver
  /// Packets to and from the caller.
  let channel: Int32
  let decode: ContainerPreparation.Decoder

  func run() -> Never {
    do throws(ApusError) {
      _ = try Streams.inherit(.terminal(rows: 0, columns: 0), keeping: [channel])
      let first = FirstProcess(plan: plan, cgroups: cgroups, channel: channel)
      try first.leaveCaller()
      try first.setUpNetwork()
      try first.enterCgroup()
      // Where it cannot be made ahead it is made later: only the time is lost.
      let mounts = try? PreparedMounts(plan, cgroups: cgroups)
      try Channel.send(.ready, on: channel)
      let (bytes, descriptors) = try UnixSocket.receive(
        on: channel, limit: ContainerPreparation.longestRequest, descriptorLimit: 3)
      // Nobody needs us any more.
      if bytes.isEmpty { clinux_exit(0) }
      var new = try Plan(try decode(bytes, descriptors), ahead: plan)
      new.cgroupVersion = cgroups.version
      FirstProcess(plan: new, cgroups: cgroups, channel: channel, prepared: mounts, isPrepared: true).proceed()
    } catch {
      try? Channel.send(.failed(error), on: channel)
      clinux_exit(1)
    }
  }
}

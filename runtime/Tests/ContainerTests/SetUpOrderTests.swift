import Errors
import RuntimeSpec
import Testing

@testable import Container

/// Notes the steps instead of taking them, and fails at one of them.
private struct Recorder: SetUpSteps {
  private(set) var steps: [String] = []
  var failing: String?

  private mutating func note(_ step: String = #function) throws(ApusError) {
    let name = String(step.prefix { $0 != "(" })
    steps.append(name)
    if name == failing { throw ApusError(.internal, name) }
  }

  mutating func hide() throws(ApusError) { try note() }
  mutating func useHostFiles() throws(ApusError) { try note() }
  mutating func makeMountNamespace() throws(ApusError) { try note() }
  mutating func enterCgroup() throws(ApusError) { try note() }
  mutating func becomeRootOfUserNamespace() throws(ApusError) { try note() }
  mutating func joinNamespaces() throws(ApusError) { try note() }
  mutating func enterNewTime() throws(ApusError) { try note() }
  mutating func nameHost() throws(ApusError) { try note() }
  mutating func setUpNetwork() throws(ApusError) { try note() }
  mutating func receiveMounts() throws(ApusError) { try note() }
  mutating func copySources() throws(ApusError) { try note() }
  mutating func isolateRoot() throws(ApusError) { try note() }
  mutating func makeRoot() throws(ApusError) { try note() }
  mutating func mount(_ index: Int) throws(ApusError) { try note("mount\(index)") }
  mutating func fillDevices() throws(ApusError) { try note() }
  mutating func openConsole() throws(ApusError) { try note() }
  mutating func awaitRuntimeHooks() throws(ApusError) { try note() }
  mutating func cover() throws(ApusError) { try note() }
  mutating func makeWorkingDirectory() throws(ApusError) { try note() }
  mutating func makeRootReadOnly() throws(ApusError) { try note() }
  mutating func runContainerHooks() throws(ApusError) { try note() }
  mutating func leaveHost() throws(ApusError) { try note() }
  mutating func setRootPropagation() throws(ApusError) { try note() }
  mutating func becomeProcess() throws(ApusError) { try note() }
}

/// The order of a container's set-up, without a kernel that would let us do it.
@Suite struct SetUpOrderTests {
  private func configuration(_ kinds: [String]) -> ContainerConfiguration {
    var spec = Spec(process: ProcessSpec(args: ["sh"], cwd: "/"), root: Root(path: "/r"))
    spec.linux = LinuxSection(namespaces: kinds.map { LinuxNamespace(type: $0) })
    return ContainerConfiguration(id: "one", spec: spec, streams: .descriptors(input: 0, output: 1, error: 2))
  }

  private func record(
    _ configuration: ContainerConfiguration, isPrepared: Bool = false, hasDevices: Bool = false
  ) throws -> [String] {
    var recorder = Recorder()
    try SetUpOrder.run(try Plan(configuration), isPrepared: isPrepared, hasDevices: hasDevices, &recorder)
    return recorder.steps
  }

  private var everything: ContainerConfiguration {
    var all = configuration(["mount", "pid", "uts", "ipc", "cgroup", "network"])
    all.spec.mounts = [
      MountSpec(destination: "/proc", type: "proc"), MountSpec(destination: "/dev", type: "tmpfs"),
      MountSpec(destination: "/sys/fs/cgroup", type: "cgroup"),
      MountSpec(destination: "/data", type: "bind", source: "/data"),
    ]
    all.spec.hooks = Hooks(createContainer: [Hook(path: "/h")])
    all.spec.root?.readonly = true
    all.spec.linux?.rootfsPropagation = "rslave"
    all.createWorkingDirectory = true
    all.streams = .terminal(rows: 0, columns: 0)
    all.runtimeHooks = { (_) throws(ApusError) in }
    return all
  }

  @Test func usual() throws {
    #expect(
      try record(configuration(["mount", "pid"])) == [
        "useHostFiles", "joinNamespaces", "nameHost", "setUpNetwork", "receiveMounts", "copySources", "isolateRoot",
        "makeRoot", "enterCgroup", "cover", "leaveHost", "becomeProcess",
      ])
  }

  @Test func all() throws {
    #expect(
      try record(everything) == [
        "useHostFiles", "joinNamespaces", "nameHost", "setUpNetwork", "receiveMounts", "copySources", "isolateRoot",
        "makeRoot", "mount0", "mount1", "enterCgroup", "mount2", "mount3", "fillDevices", "openConsole",
        "awaitRuntimeHooks", "cover", "makeWorkingDirectory", "makeRootReadOnly", "runContainerHooks", "leaveHost",
        "setRootPropagation", "becomeProcess",
      ])
  }

  /// The host's cgroups are out of reach for root of a user namespace.
  @Test func userNamespace() throws {
    var mapped = configuration(["mount", "user", "time"])
    mapped.spec.linux?.uidMappings = [LinuxIDMapping(containerID: 0, hostID: 1, size: 1)]
    mapped.spec.linux?.gidMappings = [LinuxIDMapping(containerID: 0, hostID: 1, size: 1)]
    let steps = try record(mapped)
    #expect(
      steps.prefix(6) == [
        "useHostFiles", "enterCgroup", "becomeRootOfUserNamespace", "joinNamespaces", "enterNewTime", "nameHost",
      ])
    #expect(steps.filter { $0 == "enterCgroup" }.count == 1)
  }

  /// Who is in a joined namespace already must not see a process that has the host's tree (CVE-2016-9962).
  @Test func joining() throws {
    var joining = configuration(["mount"])
    joining.spec.linux?.namespaces.append(LinuxNamespace(type: "pid", path: "/p"))
    #expect(try record(joining).first == "hide")
  }

  /// Nothing is done to mounts that are not the container's own.
  @Test func foreignMounts() throws {
    let steps = try record(configuration(["pid"]))
    #expect(!steps.contains("receiveMounts") && !steps.contains("isolateRoot") && steps.contains("leaveHost"))
  }

  @Test func sharedMounts() throws {
    var shared = configuration(["mount"])
    shared.spec.linux?.rootfsPropagation = "shared"
    let steps = try record(shared)
    #expect(!steps.contains("receiveMounts") && steps.contains("isolateRoot"))
  }

  /// What a process made ahead has done is not done again.
  @Test func prepared() throws {
    let steps = try record(everything, isPrepared: true, hasDevices: true)
    #expect(steps.contains("makeMountNamespace"))
    for step in ["enterCgroup", "setUpNetwork", "fillDevices"] { #expect(!steps.contains(step)) }
  }

  /// Whatever fails, nothing is done after it: above all, no program is run with half of the protection.
  @Test func stopsAtTheFirstFailure() throws {
    let plan = try Plan(everything)
    for step in try record(everything) {
      var recorder = Recorder(failing: step)
      #expect(throws: ApusError.self) {
        try SetUpOrder.run(plan, isPrepared: false, hasDevices: false, &recorder)
      }
      #expect(recorder.steps.last == step)
    }
  }
}

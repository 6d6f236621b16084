import Errors
import Glibc
import Linux
import RuntimeSpec

/// The file systems of a container that do not depend on its request, made ahead and detached: /proc, /sys and /dev
/// with all that is mounted, made and covered in them. Attaching them is a fraction of the work of making them.
struct PreparedMounts {
  private struct Tree {
    /// As in the plan.
    var destination: String
    /// Without slashes at its ends.
    var path: String
    var mount: Int32
  }

  /// What they were made for.
  private let plan: Plan
  private let trees: [Tree]

  /// Makes them. For the process that will attach them: /proc shows its processes, /sys its network.
  /// - Throws: also where the kernel attaches nothing to a detached mount (before Linux 6.15).
  init(_ plan: Plan, cgroups: any CgroupDriver) throws(ApusError) {
    self.plan = plan
    let context = try FilesystemContext("tmpfs")
    try context.set("mode", "755")
    let skeleton = try context.create()
    let root = RootTree(descriptor: skeleton.raw)
    var tops: [(destination: String, path: String)] = []
    for mount in plan.mounts where mount.type != "bind" {
      if mount.type == "cgroup" || mount.type == "cgroup2" {
        try root.attachCgroups(mount, path: plan.cgroupPath, version: cgroups.version)
      } else {
        try root.attach(mount, source: nil)
      }
      let path = Self.path(mount.destination)
      if !tops.contains(where: { Self.contains($0.path, path) }) { tops.append((mount.destination, path)) }
    }
    if plan.ownsDevices { try root.fillDevices(plan.linux.devices, bindFromHost: false) }
    try root.makeReadOnly(plan.linux.readonlyPaths)
    try root.mask(plan.linux.maskedPaths)
    var trees: [Tree] = []
    for top in tops {
      // A copy: what is part of a tree cannot be taken out of it.
      let mount = try Mounts.clone(at: skeleton.raw, top.path, recursive: true)
      trees.append(Tree(destination: top.destination, path: top.path, mount: mount.release()))
    }
    self.trees = trees
  }

  /// Whether a container of this plan would be given the same ones. A bind inside them belongs below their covers, and
  /// is too rare to be worth more than making everything anew.
  func fit(_ other: Plan) -> Bool {
    func made(_ plan: Plan) -> [PlannedMount] { plan.mounts.filter { $0.type != "bind" } }
    return made(plan) == made(other) && plan.linux.devices == other.linux.devices
      && plan.linux.maskedPaths == other.linux.maskedPaths && plan.linux.readonlyPaths == other.linux.readonlyPaths
      && other.mounts.allSatisfy { $0.type != "bind" || !covers($0.destination) }
      && other.linux.rootfsPropagation == plan.linux.rootfsPropagation
  }

  /// Whether a path is in one of the trees.
  func covers(_ destination: String) -> Bool {
    let path = Self.path(destination)
    return trees.contains { Self.contains($0.path, path) }
  }

  /// The tree that is to be attached for an entry of the plan; nil for one that is in another's tree.
  func tree(for mount: PlannedMount) -> Int32? { trees.first { $0.destination == mount.destination }?.mount }

  private static func path(_ destination: String) -> String {
    RootTree.components(destination).joined(separator: "/")
  }

  private static func contains(_ tree: String, _ path: String) -> Bool {
    path == tree || path.hasPrefix(tree + "/")
  }
}

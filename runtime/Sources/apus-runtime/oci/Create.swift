import Errors

extension Command {
  static let create = Command(
    name: "create", summary: "create a container", options: Creation.options,
    failurePrefix: "apus-runtime create failed: ", entersContainers: true
  ) { (invocation) throws(ApusError) in
    // The waiting process lives on after this one, and waits for `start`.
    _ = try Creation(invocation, detached: true, handsOver: true)
    return 0
  }
}

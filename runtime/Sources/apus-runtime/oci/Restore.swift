import Errors

extension Command {
  static let restore = Command(
    name: "restore", summary: "restore a container from a previous checkpoint",
    options: [
      Option("bundle", "b", "path to the root of the bundle directory"),
      Option("image-path", "path to criu image files for restoring"),
    ]
  ) { (invocation) throws(ApusError) in
    _ = try CheckpointTool.find(invocation.global.criu)
    throw ApusError(
      .unsupported, "this build cannot restore checkpoints yet; criu restore on \(invocation.id)'s images can")
  }
}

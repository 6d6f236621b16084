import Errors
import Linux

/// /dev/shm of an instance with `--ipc shareable`: a tmpfs on the host, for others can only be given what is mounted there.
/// All other instances have theirs inside their own mount namespace.
public enum SharedMemory {
  public static let standardSize: Int64 = 64 << 20

  /// Mounts it where the instance asks for it and it is not mounted yet.
  public static func prepare(_ configuration: InstanceConfiguration, paths: InstancePaths) throws(ApusError) {
    guard configuration.namespaces.ipc == "shareable" else { return }
    remove(paths)
    try Files.makeDirectory(paths.sharedMemory, mode: 0o700)
    let context = try FilesystemContext("tmpfs")
    try context.set("source", "shm")
    try context.set("mode", "1777")
    try context.set("size", "\(configuration.shmSize.flatMap { $0 > 0 ? $0 : nil } ?? standardSize)")
    let mount = try context.create(attributes: [.noSetUserID, .noDevices, .noExecute])
    try Mounts.attach(mount.raw, paths.sharedMemory)
  }

  /// Unmounts it; harmless where there is none.
  public static func remove(_ paths: InstancePaths) {
    guard Files.exists(paths.sharedMemory) else { return }
    try? Mounts.unmount(paths.sharedMemory, lazily: true)
  }
}

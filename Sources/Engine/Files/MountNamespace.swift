import Errors
import Glibc
import Linux

/// A mount namespace without a process.
enum MountNamespace {
  /// Hands what a thread found to the one that waits for it.
  ///
  /// `@unchecked Sendable`: the maker reads it only after the thread has ended (pthread_join).
  private final class Work: @unchecked Sendable {
    private let body: @Sendable () throws(ApusError) -> Found
    private(set) var result: Result<Found, ApusError>?
    init(_ body: @escaping @Sendable () throws(ApusError) -> Found) { self.body = body }

    func run() {
      do throws(ApusError) { result = .success(try body()) } catch { result = .failure(error) }
    }
  }

  /// A directory and what keeps its mounts.
  typealias Found = (descriptor: Int32, keeper: Int32)

  /// Runs `body` on a thread of its own in a new mount namespace, which then lives as long as the keeper returned beside
  /// `body`'s result, a descriptor too. Blocks.
  static func assemble(_ body: @escaping @Sendable () throws(ApusError) -> Int32) throws(ApusError) -> Found {
    try onThread { () throws(ApusError) -> Found in
      try check(unshare(CLONE_NEWNS), "cannot make a mount namespace")
      try Mounts.setAttributes("/", propagation: .private, recursive: true)
      let descriptor = try body()
      let namespace = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC)
      if namespace < 0 { close(descriptor) }
      return (descriptor, try check(namespace, "cannot keep a mount namespace"))
    }
  }

  /// The file system that is the root of another process's mount namespace, without what is mounted on it. Blocks.
  ///
  /// - Parameter process: its open directory in /proc.
  static func bareRoot(of process: Int32) throws(ApusError) -> Found {
    try onThread { () throws(ApusError) -> Found in
      let namespace = try Files.open(at: process, path: "ns/mnt", flags: O_RDONLY, resolve: [])
      let root = try Files.open(at: process, path: "root", flags: O_PATH | O_DIRECTORY, resolve: [])
      // A thread that shares its working directory with others cannot change its mounts.
      try check(unshare(CLONE_FS), "cannot separate a thread")
      try check(setns(namespace.raw, CLONE_NEWNS), "cannot look into a mount namespace")
      let mount = try Mounts.clone(at: root.raw, "")
      let directory = try Files.open(at: mount.raw, path: ".", flags: O_RDONLY | O_DIRECTORY)
      return (directory.release(), mount.release())
    }
  }

  private static func onThread(
    _ body: @escaping @Sendable () throws(ApusError) -> Found
  ) throws(ApusError) -> Found {
    let work = Work(body)
    var thread = pthread_t()
    let created = pthread_create(
      &thread, nil,
      { argument in
        if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, Unmanaged.passRetained(work).toOpaque())
    guard created == 0 else {
      Unmanaged.passUnretained(work).release()
      throw ApusError(errno: created, "cannot start a thread")
    }
    pthread_join(thread, nil)
    guard let result = work.result else { throw ApusError(.internal, "a thread ended without a result") }
    return try result.get()
  }
}

import CLinux
import Errors
import Glibc
import Linux

/// `apus-runtime shim ID`: started by the daemon with one end of a socket pair as descriptor 3.
enum ShimRole {
  private static let connection: Int32 = 3

  static func run(id: String) -> Int32 {
    guard fcntl(connection, F_GETFD) >= 0 else {
      complain("apus-runtime shim is started by apusd, with a connection as descriptor 3")
      return 125
    }
    do throws(ApusError) {
      try detach(id)
      let shim = try Shim(id: id, connection: OwnedDescriptor(owning: connection))
      try shim.run()
      // The shim's closures refer to it without owning it: it must not go before its loop ends.
      withExtendedLifetime(shim) {}
      return 0
    } catch {
      complain(error.message)
      return 1
    }
  }

  /// Cuts every tie to the daemon but the connection: descriptors, working directory, signals.
  private static func detach(_ id: String) throws(ApusError) {
    closeDescriptors(from: connection + 1)
    markCloseOnExec(from: connection)
    var enabled: Int32 = 1
    _ = ioctl(connection, UInt(FIONBIO), &enabled)
    let null = try Files.open("/dev/null", flags: O_RDWR)
    for stream in 0..<connection where stream != null.raw { dup2(null.raw, stream) }
    _ = chdir("/")
    umask(0o022)
    for ignored in [SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU] {
      signal(ignored, SIG_IGN)
    }
    // Orphans of the container's processes become ours, so that none stays a zombie and its exit is seen.
    try processControl(PrctlOption.childSubreaper, 1)
    let name = "apus:\(id)"
    _ = name.withCString { clinux_prctl(PrctlOption.name, UInt(bitPattern: $0), 0, 0, 0) }
    Memory.configure()
  }
}

/// One sentence on stderr.
func complain(_ sentence: String) {
  var line = "apus-runtime: \(sentence)\n"
  line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
}

import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// What a first and an executed process have in common: the last steps inside the container before the program.
struct ProcessSetUp {
  let process: ProcessSpec
  let streams: Streams
  /// The slave of the process's terminal, or -1.
  let terminal: Int32
  let resourceLimits: [(limit: ResourceLimit, soft: UInt64, hard: UInt64)]
  let capabilities: CapabilitySets
  let filter: [UInt8]
  let filterFlags: UInt32
  let user: String?
  let additionalGroups: [String]
  let labels: SecurityLabels
  /// The execution domain, as personality(2) takes it; nil to keep the caller's.
  let domain: UInt?
  /// The caller's end hears of the seccomp filter's listener.
  let channel: Int32
  /// The name of a new session keyring; nil to keep the caller's.
  let keyring: String?
  /// How many descriptors from 3 on the program gets.
  var preserved: Int32 = 0

  /// Everything but execve(2).
  func apply(root: RootTree) throws(ApusError) -> Program {
    // A session of its own: signals and terminals of the caller's do not reach it.
    try check(setsid(), "cannot make a session")
    if terminal >= 0 {
      try check(clinux_set_controlling_terminal(terminal), "cannot make a terminal the controlling one")
    }
    let database = try UserDatabase(root: root.descriptor)
    let user: ResolvedUser
    if let text = self.user {
      user = try database.resolve(text, additionalGroups: additionalGroups)
    } else {
      user = try database.resolve(process.user, additionalGroups: additionalGroups)
    }
    try streams.install(terminal: terminal, owner: user.user)

    if let keyring {
      // Keys of the host's session must not be found by the container. A kernel without keys has none to find.
      if clinux_join_session_keyring("_ses.\(keyring)") < 0, errno != ENOSYS, errno != EPERM, errno != EDQUOT {
        try check(-1 as Int32, "cannot make a session keyring")
      }
    }
    for (limit, soft, hard) in resourceLimits { try limit.set(soft: soft, hard: hard) }
    try ProcessAttributes.setScheduling(process)

    // By descriptor and without magic links, so that no descriptor of the host can be meant (CVE-2024-21626). As root
    // first, since the user may not be allowed to look there; then as the user, who may be the only one allowed to.
    let directory = process.cwd.isEmpty ? "/" : process.cwd
    let entered = try enter(directory, in: root)
    var environment = process.env
    if !environment.contains(where: { $0.hasPrefix("HOME=") }) { environment.append("HOME=\(user.home)") }

    if let domain { try check(clinux_personality(domain), "cannot set the execution domain") }
    try labels.apply()
    // All that is open beyond 0, 1, 2 and what was asked for ends with the program at the latest.
    markCloseOnExec(from: 3 + preserved)
    var capabilities = capabilities
    if self.user != nil, user.user != 0 {
      // The request could not know that the user is not root. Its rights are then what execve(2) leaves it anyway; with
      // more until then, the search for the program would answer for root.
      capabilities.permitted = capabilities.ambient
      capabilities.effective = capabilities.ambient
    }
    try Privileges(
      process: process, capabilities: capabilities, user: user, filter: filter, filterFlags: filterFlags,
      channel: channel
    ).apply()
    if !entered {
      guard try enter(directory, in: root) else {
        throw ApusError(.permissionDenied, "user \(user.user) may not enter the working directory \(directory)")
      }
    }
    return try Program(process.args, environment: environment)
  }

  /// False when permission is lacking.
  private func enter(_ path: String, in root: RootTree) throws(ApusError) -> Bool {
    do {
      let directory = try root.open(path, flags: O_PATH | O_DIRECTORY)
      try check(fchdir(directory.raw), "cannot enter the working directory \(path)")
      return true
    } catch  where error.errno == EACCES {
      return false
    } catch  where error.errno == ENOENT {
      throw ApusError(
        .invalidArgument, "the working directory \(path) does not exist in the container", cause: error.cause)
    }
  }
}

/// The streams a process is to have, out of the way of 0, 1 and 2 until they are installed.
struct Streams {
  private var descriptors: [Int32]

  /// Closes everything that has been inherited, except the streams and `others`. Runs in the new process.
  static func inherit(
    _ wanted: ProcessStreams, keeping others: [Int32], preserving preserved: Int32 = 0
  ) throws(ApusError) -> Streams {
    var streams = Streams(descriptors: [])
    if case .descriptors(let input, let output, let error) = wanted {
      for descriptor in [input, output, error] {
        let copy = try check(clinux_fcntl(descriptor, F_DUPFD_CLOEXEC, 3), "cannot pass a stream on")
        streams.descriptors.append(copy)
      }
    }
    for number in 0..<preserved {
      try check(clinux_fcntl(3 + number, F_SETFD, 0), "cannot pass descriptor \(3 + number) on")
    }
    var first = UInt32(3 + preserved)
    for kept in (streams.descriptors + others).sorted() {
      let kept = UInt32(bitPattern: kept)
      if kept > first { _ = clinux_close_range(first, kept - 1, 0) }
      first = kept + 1
    }
    _ = clinux_close_range(first, .max, 0)
    return streams
  }

  /// Whether the caller has what is to be passed on. Before anything else is opened, which would take its numbers.
  static func validate(preserving count: Int32) throws(ApusError) {
    guard (0...1024).contains(count) else {
      throw ApusError(.invalidArgument, "cannot pass \(count) descriptors on to a container: at most 1024")
    }
    for number in 0..<count where clinux_fcntl(3 + number, F_GETFD, 0) < 0 {
      throw ApusError(
        .invalidArgument, "cannot pass \(count) descriptors on to a container: number \(3 + number) is not open")
    }
  }

  /// Streams that have come by a message, and are this process's own already.
  static func received(_ wanted: ProcessStreams) -> Streams {
    guard case .descriptors(let input, let output, let error) = wanted else { return Streams(descriptors: []) }
    return Streams(descriptors: [input, output, error])
  }

  /// Makes them 0, 1 and 2, owned by `owner`: a program may open /dev/stdout again, by a name that leads to the pipe.
  ///
  /// The host's null device becomes the container's own: everything that a process has open is then in its own tree, as
  /// whoever takes it apart and puts it together again expects (criu).
  func install(terminal: Int32, owner: uid_t) throws(ApusError) {
    let sources = terminal >= 0 ? [terminal, terminal, terminal] : descriptors
    let null = dev_t(clinux_makedev(1, 3))
    var ownNull: Int32?
    defer { if let ownNull, ownNull >= 0 { close(ownNull) } }
    for (number, source) in sources.enumerated() {
      var source = source
      if let status = try? Files.status(source) {
        if status.st_mode & S_IFMT == S_IFCHR, status.st_rdev == null {
          let own = ownNull ?? Self.openNull(null)
          ownNull = own
          if own >= 0 { source = own }
        } else if status.st_uid != owner, status.st_mode & S_IFMT == S_IFIFO || status.st_mode & S_IFMT == S_IFCHR {
          _ = fchown(source, owner, uid_t.max)
        }
      }
      try check(dup2(source, Int32(number)), "cannot install stream \(number)")
    }
  }

  /// The null device of the tree that this process is in; -1 where something else has its name.
  private static func openNull(_ device: dev_t) -> Int32 {
    guard let found = try? Files.status(at: AT_FDCWD, "/dev/null"), found.st_rdev == device else { return -1 }
    let opened = open("/dev/null", O_RDWR | O_NOFOLLOW | O_CLOEXEC)
    // A container's processes may have exchanged it meanwhile.
    if opened >= 0, (try? Files.status(opened).st_rdev) != device {
      close(opened)
      return -1
    }
    return opened
  }
}

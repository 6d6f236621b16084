import CLinux
import Errors
import Glibc
import Linux

/// The program of a process: found and executed inside the container.
struct Program: Sendable {
  var path: String
  var arguments: [String]
  var environment: [String]

  /// Finds the program with the rights of the calling process, in whose root it lies. Throws an error whose cause is an
  /// ``ExecFailure``, in the words that Docker's clients know.
  init(_ arguments: [String], environment: [String]) throws(ApusError) {
    guard let name = arguments.first, !name.isEmpty else {
      throw Self.failure("", ENOENT, "no command specified")
    }
    self.arguments = arguments
    self.environment = environment
    if name.utf8.contains(UInt8(ascii: "/")) {
      if let why = Self.reasonNotToExecute(name) { throw Self.failure(name, why) }
      path = name
      return
    }
    let searched =
      environment.last { $0.hasPrefix("PATH=") }?.dropFirst(5)
      ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    var reason = ENOENT
    for directory in searched.split(separator: ":", omittingEmptySubsequences: false) {
      // An empty entry is the working directory.
      let candidate = directory.isEmpty ? "./\(name)" : "\(directory)/\(name)"
      guard let why = Self.reasonNotToExecute(candidate) else {
        path = candidate
        return
      }
      // A file that cannot be executed is a better explanation than none at all.
      if why == EACCES { reason = why }
    }
    throw Self.failure(
      name, reason, reason == ENOENT ? "executable file not found in $PATH" : describe(errno: reason))
  }

  private static func reasonNotToExecute(_ path: String) -> Int32? {
    var status = stat()
    if stat(path, &status) < 0 { return errno }
    if status.st_mode & S_IFMT == S_IFDIR { return EISDIR }
    // With the effective rights: real ones could still be somebody else's.
    if faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 { return nil }
    // The container's filter, already in force, may not know faccessat2(2). Its author's refusal is not the file's.
    if errno == EPERM || errno == ENOSYS, access(path, X_OK) == 0 { return nil }
    return errno
  }

  /// Becomes the program; returns only with the reason why not.
  func execute() -> ApusError {
    let why = withCStrings(arguments) { argv in
      withCStrings(environment) { envp -> Int32 in
        execve(path, argv, envp)
        return errno
      }
    }
    return Self.failure(arguments.first ?? path, why)
  }

  static func failure(_ name: String, _ why: Int32, _ reason: String? = nil) -> ApusError {
    let stage = reason == nil && why == ENOENT ? "stat \(name): " : ""
    let message = "exec: \"\(name)\": \(stage)\(reason ?? describe(errno: why))"
    let code: ErrorCode = why == EACCES || why == EPERM ? .permissionDenied : .invalidArgument
    return ApusError(code, message, cause: ExecFailure(program: name, errno: why))
  }
}

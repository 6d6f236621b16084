import Errors
import ImageSpec

extension ResolvedProcess {
  /// The directories searched where neither the image nor the user sets PATH.
  static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

  /// What a request and its image come to, by Docker's rules (`POST /containers/create`): what the request leaves open
  /// is the image's; an entrypoint of the request's own drops the image's command.
  ///
  /// - Throws: `invalidArgument` where nothing says what to run, or a directory is not absolute.
  public init(_ configuration: InstanceConfiguration, image: ImageConfiguration.Config) throws(ApusError) {
    self.init()
    let process = configuration.process

    var entrypoint = process.entrypoint
    var command = process.command
    if (entrypoint ?? []).isEmpty {
      if (command ?? []).isEmpty { command = image.cmd }
      // An empty list, as against none, says that there is to be no entrypoint.
      if entrypoint == nil { entrypoint = image.entrypoint }
    }
    self.entrypoint = entrypoint
    self.command = command
    // [""] is how clients say "none": the list itself must reach the daemon non-empty.
    let program = entrypoint == [""] ? [] : entrypoint ?? []
    arguments = program + (command ?? [])
    guard let first = arguments.first else { throw ApusError(.invalidArgument, "No command specified") }
    guard !first.isEmpty else { throw ApusError(.invalidArgument, "No command specified: the program's name is empty") }

    environment = Self.merge(process.environment, over: image.env ?? [])
    workingDirectory = try Self.directory(process.workingDirectory, image: image.workingDir)
    user = [process.user, image.user].lazy.compactMap { $0 }.first { !$0.isEmpty } ?? ""
    labels = (image.labels ?? [:]).merging(configuration.labels) { $1 }
    exposedPorts = Set(configuration.network.exposedPorts).union(image.exposedPorts ?? []).sorted()
    volumes = (image.volumes ?? []).map(Self.absolute).sorted()
    stopSignal = configuration.stopSignal ?? image.stopSignal
    healthCheck = Self.healthCheck(configuration.healthCheck, image: image.healthcheck)
    shell = image.shell
  }

  /// The user's variables, then those of the image that the user does not name.
  static func merge(_ own: [String], over image: [String]) -> [String] {
    let names = Set(own.map(variableName))
    return own + image.filter { !names.contains(variableName($0)) }
  }

  static func variableName(_ assignment: String) -> Substring { assignment.prefix { $0 != "=" } }

  private static func directory(_ own: String?, image: String?) throws(ApusError) -> String {
    if let own, !own.isEmpty {
      guard own.hasPrefix("/") else {
        throw ApusError(
          .invalidArgument, "the working directory '\(own)' is invalid, it needs to be an absolute path")
      }
      return cleanPath(own)
    }
    // Builders wrote relative ones; the field takes them as relative to the root.
    return absolute(image ?? "")
  }

  private static func absolute(_ path: String) -> String { cleanPath("/" + path) }

  private static func healthCheck(
    _ own: HealthCheckConfiguration?, image: ImageConfiguration.HealthCheck?
  ) -> HealthCheckConfiguration? {
    guard var check = own ?? (image == nil ? nil : HealthCheckConfiguration()) else { return nil }
    if let image {
      if check.test.isEmpty { check.test = image.test ?? [] }
      if check.interval == 0 { check.interval = image.interval ?? 0 }
      if check.timeout == 0 { check.timeout = image.timeout ?? 0 }
      if check.startPeriod == 0 { check.startPeriod = image.startPeriod ?? 0 }
      if check.startInterval == 0 { check.startInterval = image.startInterval ?? 0 }
      if check.retries == 0 { check.retries = image.retries ?? 0 }
    }
    return check.test.isEmpty ? nil : check
  }
}

extension ResolvedProcess {
  /// The variables the first process starts with: the engine's own, overridden by the instance's. `NAME` without a value
  /// removes one.
  func processEnvironment(hostname: String, terminal: Bool) -> [String] {
    Self.override(
      ["PATH=\(Self.defaultPath)", "HOSTNAME=\(hostname)"] + (terminal ? ["TERM=xterm"] : []), with: environment)
  }

  /// `changes` over `base`: an assignment replaces one of the same name in its place or is appended, a bare name removes.
  static func override(_ base: [String], with changes: [String]) -> [String] {
    var result = base
    var positions: [Substring: Int] = [:]
    for (index, assignment) in base.enumerated() { positions[variableName(assignment)] = index }
    var removed: Set<Int> = []
    for change in changes {
      let name = variableName(change)
      let assigns = name.utf8.count < change.utf8.count
      if let position = positions[name] {
        if assigns {
          result[position] = change
          removed.remove(position)
        } else {
          removed.insert(position)
        }
      } else if assigns {
        positions[name] = result.count
        result.append(change)
      }
    }
    return removed.isEmpty ? result : result.enumerated().filter { !removed.contains($0.offset) }.map(\.element)
  }
}

/// `path` without empty, `.` and (lexically resolved) `..` components; an absolute path stays absolute.
func cleanPath(_ path: String) -> String {
  let absolute = path.hasPrefix("/")
  var kept: [Substring] = []
  for component in path.split(separator: "/") where component != "." {
    if component != ".." {
      kept.append(component)
    } else if let last = kept.last, last != ".." {
      kept.removeLast()
    } else if !absolute {
      kept.append(component)
    }
  }
  let joined = kept.joined(separator: "/")
  return absolute ? "/" + joined : (joined.isEmpty ? "." : joined)
}

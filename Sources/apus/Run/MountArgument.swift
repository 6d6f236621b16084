import Errors
import Glibc

/// The argument of `--volume`.
enum VolumeArgument {
  /// As the API's `Binds` has it, with an absolute source.
  case bind(String)
  /// A volume without a name, at this path in the container.
  case anonymous(String)

  static func parse(_ text: String) throws -> VolumeArgument {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard !parts.contains(""), (1...3).contains(parts.count) else {
      throw UsageError("Option --volume cannot be '\(text)': it wants SOURCE:TARGET[:MODE].")
    }
    if parts.count == 1 { return .anonymous(parts[0]) }
    // Only what begins with a dot or a slash is a path; anything else names a volume.
    let isRelative = parts[0].hasPrefix(".") || parts[0].hasPrefix("~/")
    return .bind(([isRelative ? absolute(parts[0]) : parts[0]] + parts.dropFirst()).joined(separator: ":"))
  }

  /// A path from here, without `.` and `..`.
  static func absolute(_ path: String) -> String {
    var path = path
    if path.hasPrefix("~/"), let home = getenv("HOME") { path = String(cString: home) + path.dropFirst(1) }
    if !path.hasPrefix("/"), let directory = getcwd(nil, 0) {
      path = String(cString: directory) + "/" + path
      free(directory)
    }
    var names: [Substring] = []
    for name in path.split(separator: "/") where name != "." {
      if name == ".." { _ = names.popLast() } else { names.append(name) }
    }
    return "/" + names.joined(separator: "/")
  }
}

/// The argument of `--mount`: fields divided by commas, a field with a comma in quotes.
enum MountArgument {
  static func parse(_ text: String) throws -> JSON {
    func failure(_ why: String) -> UsageError {
      UsageError("Option --mount cannot be '\(text)': \(why).")
    }
    var mount: JSON = ["Type": "volume"]
    var bind: JSON = [:], volume: JSON = [:], tmpfs: JSON = [:]
    var labels: [JSON.Member] = [], driverOptions: [JSON.Member] = []
    for field in FieldList.split(text) {
      let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      let key = parts[0].lowercased()
      let value = parts.count > 1 ? parts[1] : nil
      if key == "readonly" || key == "ro" {
        mount["ReadOnly"] = .bool(["true", "1", nil].contains(value))
        continue
      }
      if key == "volume-nocopy" {
        volume["NoCopy"] = .bool(["true", "1", nil].contains(value))
        continue
      }
      if key == "bind-nonrecursive" || (key == "bind-recursive" && value == "disabled") {
        bind["NonRecursive"] = .bool(["true", "1", nil, "disabled"].contains(value))
        continue
      }
      guard let value else { throw failure("the field '\(field)' has no value") }
      switch key {
      case "type": mount["Type"] = .string(value.lowercased())
      case "source", "src":
        mount["Source"] = .string(
          value.hasPrefix("./") || value.hasPrefix("../") || value == "." ? VolumeArgument.absolute(value) : value)
      case "target", "destination", "dst": mount["Target"] = .string(value)
      case "consistency": mount["Consistency"] = .string(value)
      case "bind-propagation": bind["Propagation"] = .string(value)
      case "bind-recursive": break
      case "bind-create-src", "bind-createmountpoint": bind["CreateMountpoint"] = .bool(value == "true" || value == "1")
      case "volume-driver": volume["DriverConfig"] = ["Name": .string(value)]
      case "volume-subpath": volume["Subpath"] = .string(value)
      case "volume-label": labels.append(pair(value))
      case "volume-opt": driverOptions.append(pair(value))
      case "tmpfs-size":
        guard let size = Quantity.bytes(value) else { throw failure("'\(value)' is not a size") }
        tmpfs["SizeBytes"] = JSON(size)
      case "tmpfs-mode":
        guard let mode = Int(value, radix: 8) else { throw failure("'\(value)' is not an octal mode") }
        tmpfs["Mode"] = JSON(mode)
      default:
        throw failure("there is no field '\(parts[0])'")
      }
    }
    guard let target = mount["Target"].string, !target.isEmpty else { throw failure("it needs a target") }
    if !labels.isEmpty { volume["Labels"] = .object(labels) }
    if !driverOptions.isEmpty {
      volume["DriverConfig"] = ["Name": volume["DriverConfig"]["Name"], "Options": .object(driverOptions)]
    }
    if !bind.members.isEmpty { mount["BindOptions"] = bind }
    if !volume.members.isEmpty { mount["VolumeOptions"] = volume }
    if !tmpfs.members.isEmpty { mount["TmpfsOptions"] = tmpfs }
    return mount
  }

  private static func pair(_ text: String) -> JSON.Member {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    return .init(key: parts[0], value: .string(parts.count > 1 ? parts[1] : ""))
  }
}

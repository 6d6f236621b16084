import Errors
import Linux
import RuntimeSpec

/// Reading a filter that a user supplies: Docker's form (`archMap`, `includes`, `excludes`) or the OCI runtime
/// specification's, which is a subset of it.
extension SeccompProfile {
  /// More than any real profile by two orders of magnitude.
  static let maximumBytes = 1 << 20

  /// - Throws: `invalidArgument`, naming the field that is wrong.
  init(document: String) throws(ApusError) {
    guard document.utf8.count <= Self.maximumBytes else {
      throw ApusError(.invalidArgument, "Decoding seccomp profile failed: it is larger than \(Self.maximumBytes) bytes")
    }
    let read: SeccompDocument
    do {
      read = try SeccompDocument(json: Array(document.utf8), subject: "The profile")
    } catch {
      throw ApusError(.invalidArgument, "Decoding seccomp profile failed: \(error.message)", cause: error)
    }
    guard read.architectures.isEmpty || read.architectureMap.isEmpty else {
      throw ApusError(
        .invalidArgument,
        "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'"
      )
    }
    guard SeccompAction.all.contains(read.defaultAction) else {
      throw ApusError(
        .invalidArgument, "seccomp profile: '\(read.defaultAction.prefix(40))' is no action; 'defaultAction' needs one")
    }
    self.init(defaultAction: read.defaultAction)
    defaultErrnoRet = read.defaultErrnoRet
    architectures = read.architectures
    architectureMap = read.architectureMap.map {
      Architecture(name: $0.architecture, subArchitectures: $0.subArchitectures)
    }
    flags = read.flags
    listenerPath = read.listenerPath
    listenerMetadata = read.listenerMetadata
    for call in read.syscalls { rules.append(try Rule(call)) }
  }
}

extension SeccompProfile.Rule {
  fileprivate init(_ call: SeccompDocument.Call) throws(ApusError) {
    guard call.name.isEmpty || call.names.isEmpty else {
      throw ApusError(
        .invalidArgument, "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'")
    }
    self.init(names: call.name.isEmpty ? call.names : [call.name])
    guard SeccompAction.all.contains(call.action) else {
      throw ApusError(
        .invalidArgument,
        "seccomp profile: '\(call.action.prefix(40))' is no action; the rule for '\((names.first ?? "").prefix(40))' needs one"
      )
    }
    action = call.action
    errnoRet = call.errnoRet
    arguments = call.args
    includes = try SeccompProfile.Condition(call.includes)
    excludes = try SeccompProfile.Condition(call.excludes)
  }
}

extension SeccompProfile.Condition {
  fileprivate init(_ filter: SeccompDocument.Filter) throws(ApusError) {
    for name in filter.caps {
      if let capability = Capabilities(named: name) {
        capabilities.formUnion(capability)
      } else {
        listsUnknownCapability = true
      }
    }
    // libseccomp's name of the processor that Go calls 386.
    architectures = filter.arches.map { $0 == "x86" ? "386" : $0 }
    guard !filter.minKernel.isEmpty else { return }
    guard let version = KernelVersion(filter.minKernel) else {
      throw ApusError(.invalidArgument, "seccomp profile: minKernel '\(filter.minKernel.prefix(40))' is no version")
    }
    kernel = version
  }
}

/// The document as it is written. Reading only: nothing is ever written in this form.
private struct SeccompDocument: JSONObject {
  var defaultAction = ""
  var defaultErrnoRet: UInt32?
  var architectures: [String] = []
  var architectureMap: [ArchitectureEntry] = []
  var flags: [String] = []
  var listenerPath = ""
  var listenerMetadata = ""
  var syscalls: [Call] = []

  mutating func readMember(_ name: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch name {
    case "defaultAction": try reader.read(&defaultAction)
    case "defaultErrnoRet": try reader.read(&defaultErrnoRet)
    case "architectures": try reader.read(&architectures)
    case "archMap": try reader.read(&architectureMap)
    case "flags": try reader.read(&flags)
    case "listenerPath": try reader.read(&listenerPath)
    case "listenerMetadata": try reader.read(&listenerMetadata)
    case "syscalls": try reader.read(&syscalls)
    default: return false
    }
    return true
  }

  func writeMembers(to writer: inout JSONWriter) {}

  struct ArchitectureEntry: JSONObject {
    var architecture = ""
    var subArchitectures: [String] = []
    mutating func readMember(_ name: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
      switch name {
      case "architecture": try reader.read(&architecture)
      case "subArchitectures": try reader.read(&subArchitectures)
      default: return false
      }
      return true
    }
    func writeMembers(to writer: inout JSONWriter) {}
  }

  struct Call: JSONObject {
    var name = ""
    var names: [String] = []
    var action = ""
    var errnoRet: UInt32?
    var args: [LinuxSeccompArgument] = []
    var includes = Filter()
    var excludes = Filter()
    mutating func readMember(_ name: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
      switch name {
      case "name": try reader.read(&self.name)
      case "names": try reader.read(&names)
      case "action": try reader.read(&action)
      case "errnoRet": try reader.read(&errnoRet)
      case "args": try reader.read(&args)
      case "includes": try reader.read(&includes)
      case "excludes": try reader.read(&excludes)
      default: return false
      }
      return true
    }
    func writeMembers(to writer: inout JSONWriter) {}
  }

  struct Filter: JSONObject {
    var caps: [String] = []
    var arches: [String] = []
    var minKernel = ""
    mutating func readMember(_ name: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
      switch name {
      case "caps": try reader.read(&caps)
      case "arches": try reader.read(&arches)
      case "minKernel": try reader.read(&minKernel)
      default: return false
      }
      return true
    }
    func writeMembers(to writer: inout JSONWriter) {}
  }
}

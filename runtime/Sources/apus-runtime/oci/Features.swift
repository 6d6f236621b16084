import Container
import Errors
import RuntimeSpec

extension Command {
  static let features = Command(
    name: "features", summary: "show the enabled features", usage: "", arguments: 0...0
  ) { (_) throws(ApusError) in
    say(JSONText.indented(FeatureDocument().json, by: "    ") + "\n")
    return 0
  }
}

/// What this runtime can do, whatever the host (features.md, features-linux.md).
struct FeatureDocument {
  var json: [UInt8] {
    var writer = JSONWriter()
    object(&writer) { writer in
      writer.put("ociVersionMin", "1.0.0")
      writer.put("ociVersionMax", OCIRole.specificationVersion)
      writer.put("hooks", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
      writer.put("mountOptions", RuntimeFeatures.mountOptions)
      object(&writer, "linux", linux)
      object(&writer, "annotations") { $0.put("io.github.seccomp.libseccomp.version", RuntimeFeatures.seccompVersion) }
    }
    return writer.bytes
  }

  private func linux(_ writer: inout JSONWriter) {
    writer.put("namespaces", RuntimeFeatures.namespaces)
    writer.put("capabilities", RuntimeFeatures.capabilities)
    object(&writer, "cgroup") {
      $0.put("v1", true)
      $0.put("v2", true)
      $0.put("systemd", true)
      $0.put("systemdUser", true)
      $0.put("rdma", true)
    }
    object(&writer, "seccomp") {
      $0.put("enabled", true)
      $0.put("actions", RuntimeFeatures.seccompActions)
      $0.put("operators", RuntimeFeatures.seccompOperators)
      $0.put("archs", RuntimeFeatures.seccompArchitectures)
      $0.put("knownFlags", RuntimeFeatures.seccompFlags)
      $0.put("supportedFlags", RuntimeFeatures.seccompFlags)
    }
    object(&writer, "apparmor") { $0.put("enabled", true) }
    object(&writer, "selinux") { $0.put("enabled", true) }
    object(&writer, "intelRdt") { $0.put("enabled", true) }
    object(&writer, "mountExtensions") { writer in object(&writer, "idmap") { $0.put("enabled", true) } }
  }

  private func object(_ writer: inout JSONWriter, _ name: String? = nil, _ members: (inout JSONWriter) -> Void) {
    if let name { writer.name(name) }
    writer.beginObject()
    members(&writer)
    writer.endObject()
  }
}

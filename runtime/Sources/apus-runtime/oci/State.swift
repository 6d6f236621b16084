import Errors
import Glibc
import RuntimeSpec

/// What `state` and `list` show of a container.
struct Overview: JSONObject {
  var record = Record()
  var status = Record.Status.stopped
  var owner = ""

  init() {}

  init(_ stored: StoredContainer, owner: String) throws(ApusError) {
    record = stored.record
    status = try stored.status()
    self.owner = owner
  }

  mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool { false }

  var pid: Int32 { status == .stopped ? 0 : record.pid }

  func writeMembers(to writer: inout JSONWriter) {
    writer.put("ociVersion", record.ociVersion)
    writer.put("id", record.id)
    writer.put("pid", pid)
    writer.put("status", status.rawValue)
    writer.put("bundle", record.bundle)
    writer.put("rootfs", record.rootfs)
    writer.put("created", record.created)
    writer.putIfSet("annotations", record.annotations)
    writer.put("owner", owner)
  }
}

extension Command {
  static let state = Command(
    name: "state", summary: "output the state of a container"
  ) { (invocation) throws(ApusError) in
    let overview = try Overview(StoredContainer(invocation.id, root: invocation.global.root), owner: "")
    say(JSONText.indented(overview.json(), by: "  "))
    return 0
  }
}

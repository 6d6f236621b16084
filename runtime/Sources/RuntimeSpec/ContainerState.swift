/// The state of a container as hooks and `state` get it (runtime.md, State).
public struct ContainerState: JSONObject, Equatable {
  public var ociVersion: String
  public var id: String
  /// `creating`, `created`, `running` or `stopped`.
  public var status: String
  /// 0 where there is none.
  public var pid: Int32
  public var bundle: String
  public var annotations: [String: String]

  public init(
    ociVersion: String = "1.2.0", id: String = "", status: String = "", pid: Int32 = 0, bundle: String = "",
    annotations: [String: String] = [:]
  ) {
    self.ociVersion = ociVersion
    self.id = id
    self.status = status
    self.pid = pid
    self.bundle = bundle
    self.annotations = annotations
  }

  public init() { self.init(ociVersion: "1.2.0") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "ociVersion": try reader.read(&ociVersion)
    case "id": try reader.read(&id)
    case "status": try reader.read(&status)
    case "pid": try reader.read(&pid)
    case "bundle": try reader.read(&bundle)
    case "annotations": try reader.read(&annotations)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("ociVersion", ociVersion)
    writer.put("id", id)
    writer.put("status", status)
    writer.putIfSet("pid", pid)
    writer.put("bundle", bundle)
    writer.putIfSet("annotations", annotations)
  }
}

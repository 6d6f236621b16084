import Errors
import Linux
import RuntimeSpec

/// Where systemd is to put a container: a unit of its own, and with it a control group.
public struct SystemdPlacement: Sendable {
  public let unit: SystemdUnit
  /// Of the unit's control group, without a slash in front.
  public let path: String
  private let properties: [SystemdProperty]

  /// Asks the manager, the calling user's where that is not root, where its control groups are.
  /// - Parameter spec: whose `linux.cgroupsPath` is `slice:prefix:name`, or empty, and whose annotations that begin with
  ///   `org.systemd.property.` are properties of the unit.
  public init(_ spec: Spec, id: String) throws(ApusError) {
    unit = try SystemdUnit(spec.linux?.cgroupsPath ?? "", id: id, isUser: !UserNamespace.isHostRoot)
    properties = try SystemdProperty.annotated(spec.annotations)
    path = try CgroupSystemd.path(of: unit)
  }

  /// That of systemd where a unit is asked for.
  static func driver(
    _ placement: SystemdPlacement?, toMake path: String
  ) throws(ApusError) -> any CgroupDriver {
    guard let placement else { return try Cgroups.driver(toMake: path) }
    return try CgroupSystemd(placement.unit, properties: placement.properties)
  }
}

import Errors
import Glibc

/// systemd's manager of units, the host's or a user's (org.freedesktop.systemd1(5)). Needs systemd 244 or later.
public final class SystemdManager {
  private static let path = "/org/freedesktop/systemd1"
  private static let interface = "org.freedesktop.systemd1.Manager"

  private let connection: DBusConnection
  /// Empty on a connection without a bus.
  private let destination: String

  /// Whether systemd is what this host was booted with (sd_booted(3)).
  public static var isBooted: Bool { Files.exists("/run/systemd/system") }

  /// Connects to the host's manager, or to that of the calling user.
  public static func connect(isUser: Bool) throws(ApusError) -> SystemdManager {
    guard isBooted else {
      throw ApusError(
        .unsupported,
        "cannot make a control group by systemd: this host was not booted with it; leave --systemd-cgroup out")
    }
    let directory = getenv("XDG_RUNTIME_DIR").map { String(cString: $0) } ?? "/run/user/\(geteuid())"
    // Straight to the manager, where that is allowed: nobody is in between.
    let sockets =
      isUser
      ? [("\(directory)/systemd/private", false), (sessionBus ?? "\(directory)/bus", true)]
      : [("/run/systemd/private", false), ("/run/dbus/system_bus_socket", true)]
    var failure: ApusError?
    for (socket, isBus) in sockets {
      do throws(ApusError) {
        return try SystemdManager(DBusConnection(path: socket, isBus: isBus), isBus: isBus)
      } catch {
        failure = failure ?? error
      }
    }
    let advice = isUser ? "; a user's manager runs while somebody is logged in, or with loginctl enable-linger" : ""
    throw ApusError(
      .unavailable, "cannot make a control group by systemd: \(failure?.message ?? "it cannot be reached")\(advice)",
      cause: failure?.cause)
  }

  init(_ connection: DBusConnection, isBus: Bool) throws(ApusError) {
    self.connection = connection
    destination = isBus ? "org.freedesktop.systemd1" : ""
    // Without a bus all signals come by themselves.
    guard isBus else { return }
    let rule = "type='signal',sender='org.freedesktop.systemd1',interface='\(Self.interface)',member='JobRemoved'"
    try connection.call(
      destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus",
      member: "AddMatch", [.string(rule)])
    try call("Subscribe")
  }

  /// `unix:path=…` of the user's bus.
  private static var sessionBus: String? {
    guard let text = getenv("DBUS_SESSION_BUS_ADDRESS").map({ String(cString: $0) }) else { return nil }
    let prefix = "unix:path="
    guard text.hasPrefix(prefix) else { return nil }
    return String(text.dropFirst(prefix.count).prefix { $0 != "," && $0 != ";" })
  }

  @discardableResult
  private func call(_ member: String, _ body: [DBusValue] = []) throws(ApusError) -> [DBusValue] {
    try connection.call(
      destination: destination, path: Self.path, interface: Self.interface, member: member, body)
  }

  /// The control group below which its units are, without slashes at its ends; empty at the top.
  public func controlGroup() throws(ApusError) -> String {
    let answer = try connection.call(
      destination: destination, path: Self.path, interface: "org.freedesktop.DBus.Properties", member: "Get",
      [.string(Self.interface), .string("ControlGroup")])
    let path = answer.first?.content.text ?? ""
    return path.split(separator: "/").joined(separator: "/")
  }

  /// Makes a unit that lives until its last process ends, and waits for it.
  public func start(_ unit: String, properties: [SystemdProperty]) throws(ApusError) {
    let body: [DBusValue] = [
      .string(unit), .string("replace"), .array("(sv)", properties.map(\.value)), .array("(sa(sv))", []),
    ]
    let job: [DBusValue]
    do throws(ApusError) {
      job = try call("StartTransientUnit", body)
    } catch {
      guard (error.cause as? DBusFailure)?.name == "org.freedesktop.systemd1.UnitExists" else { throw error }
      // One that has failed is remembered until somebody says that it need not be.
      try? resetFailed(unit)
      do throws(ApusError) {
        job = try call("StartTransientUnit", body)
      } catch {
        guard (error.cause as? DBusFailure)?.name == "org.freedesktop.systemd1.UnitExists" else { throw error }
        throw ApusError(
          .conflict, "linux.cgroupsPath: systemd has a unit \(unit) already; choose another name", cause: error.cause)
      }
    }
    try wait(for: job, of: unit, to: "start")
  }

  /// Changes properties until the unit's end.
  public func set(_ properties: [SystemdProperty], of unit: String) throws(ApusError) {
    try call("SetUnitProperties", [.string(unit), .boolean(true), .array("(sv)", properties.map(\.value))])
  }

  /// Ends a unit, and waits for that; one that is gone is fine.
  public func stop(_ unit: String) throws(ApusError) {
    let job: [DBusValue]
    do throws(ApusError) {
      job = try call("StopUnit", [.string(unit), .string("replace")])
    } catch {
      guard (error.cause as? DBusFailure)?.name == "org.freedesktop.systemd1.NoSuchUnit" else { throw error }
      return
    }
    try wait(for: job, of: unit, to: "stop")
  }

  /// Brings the calling process into the group of a unit, or into one below it.
  public func attachCaller(to unit: String, below path: String) throws(ApusError) {
    // 0 stands for who asks: its own number may be that of another process namespace.
    try call("AttachProcessesToUnit", [.string(unit), .string(path), .array("u", [.uint32(0)])])
  }

  /// Lets systemd forget that a unit has failed.
  public func resetFailed(_ unit: String) throws(ApusError) { try call("ResetFailedUnit", [.string(unit)]) }

  private func wait(for job: [DBusValue], of unit: String, to verb: String) throws(ApusError) {
    guard let path = job.first?.text else {
      throw ApusError(.unavailable, "systemd has not said by which job it is going to \(verb) \(unit)")
    }
    // Number, path, unit, result.
    let end = try connection.waitForSignal {
      $0.member == "JobRemoved" && $0.body.count == 4 && $0.body[1].text == path
    }
    let result = end.body[3].text ?? ""
    guard result == "done" else {
      throw ApusError(.internal, "systemd could not \(verb) \(unit): its job ended as \"\(result)\"")
    }
  }
}

/// A setting of a unit.
public struct SystemdProperty: Sendable, Equatable {
  public let name: String
  public let setting: DBusValue

  public init(_ name: String, _ setting: DBusValue) {
    self.name = name
    self.setting = setting
  }

  var value: DBusValue { .structure([.string(name), .variant(setting)]) }
}

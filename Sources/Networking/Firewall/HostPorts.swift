import Errors
import Glibc
import Linux
import Netlink
import Synchronization

/// What is asked for of the host's ports.
public struct PortRequest: Sendable, Hashable {
  public var proto: PortProtocol
  /// Nil: every address of both families. `0.0.0.0` and `::` are every address of the one.
  public var address: IPAddress?
  /// The first free one of these; nil: any that the kernel gives to programs that do not care
  /// (`net.ipv4.ip_local_port_range`).
  public var ports: ClosedRange<UInt16>?

  public init(proto: PortProtocol, address: IPAddress? = nil, ports: ClosedRange<UInt16>? = nil) {
    self.proto = proto
    self.address = address
    self.ports = ports
  }
}

/// Ports of the host that belong to instances: held by sockets that are bound and never listen, so no other program
/// gets them, and so the kernel gives them to nobody's outgoing connections. Everything blocks, but not for long.
public final class HostPorts: Sendable {
  /// Reserved now, by what is unique of it within this process.
  private let reserved = Mutex<[ObjectIdentifier: Entry]>([:])

  struct Entry: Sendable {
    let proto: PortProtocol
    let address: IPAddress?
    let port: UInt16
    let owner: String
  }

  public init() {}

  /// Reserves one port, the same for both families where no address is given.
  ///
  /// - Parameter owner: whose it is, as the sentence for the next who wants the port says: `container "web"`.
  /// - Throws: conflict, in Docker's words and with the name of who has the port; resourceExhausted, when none of
  ///   several is free.
  public func reserve(_ request: PortRequest, owner: String) throws(ApusError) -> PortReservation {
    guard let range = request.ports else { return try reserveAny(request, owner: owner) }
    var conflict: ApusError?
    for port in range {
      do throws(ApusError) {
        return try reserve(request, port: port, owner: owner)
      } catch {
        guard error.code == .conflict else { throw error }
        conflict = error
      }
    }
    guard range.count > 1 || conflict == nil else { throw conflict ?? Self.exhausted(request, range) }
    throw Self.exhausted(request, range)
  }

  private func reserveAny(_ request: PortRequest, owner: String) throws(ApusError) -> PortReservation {
    // The kernel chooses; what it chooses can belong to an address of ours that this request's does not conflict with.
    let socket = try PortSocket(request.proto, request.address, port: 0)
    return register(request, try socket.port(), socket, owner)
  }

  private func reserve(
    _ request: PortRequest, port: UInt16, owner: String
  ) throws(ApusError) -> PortReservation {
    let text = Self.text(request.address, port)
    let holder = reserved.withLock { $0.values.first { $0.conflicts(with: request, port: port) } }
    if let holder {
      throw ApusError(
        .conflict,
        "Bind for \(text) failed: port is already allocated by \(holder.owner); publish another port, or stop that one "
          + "first")
    }
    do throws(ApusError) {
      return register(request, port, try PortSocket(request.proto, request.address, port: port), owner)
    } catch {
      throw Self.failure(error, request: request, port: port)
    }
  }

  private func register(
    _ request: PortRequest, _ port: UInt16, _ socket: consuming PortSocket, _ owner: String
  ) -> PortReservation {
    let reservation = PortReservation(request: request, port: port, socket: socket, table: self)
    let entry = Entry(proto: request.proto, address: request.address, port: port, owner: owner)
    reserved.withLock { $0[ObjectIdentifier(reservation)] = entry }
    return reservation
  }

  func forget(_ reservation: PortReservation) {
    _ = reserved.withLock { $0.removeValue(forKey: ObjectIdentifier(reservation)) }
  }

  // MARK: Sentences

  private static func text(_ address: IPAddress?, _ port: UInt16) -> String {
    guard let address else { return "0.0.0.0:\(port)" }
    return address.family == .v4 ? "\(address):\(port)" : "[\(address)]:\(port)"
  }

  private static func exhausted(_ request: PortRequest, _ range: ClosedRange<UInt16>) -> ApusError {
    ApusError(
      .resourceExhausted,
      "all ports are allocated: none of \(range.lowerBound)-\(range.upperBound)/\(request.proto.rawValue) is free on "
        + "the host; publish other ports, or free one of these")
  }

  private static func failure(_ error: ApusError, request: PortRequest, port: UInt16) -> ApusError {
    let stage = "failed to bind host port for \(text(request.address, port))"
    switch error.errno {
    case EADDRINUSE:
      let holders = PortHolder.find(proto: request.proto, address: request.address, port: port)
      let who = holders.isEmpty ? "" : " by " + holders.prefix(3).map(\.description).joined(separator: ", ")
      let advice = holders.isEmpty ? "; publish another port" : "; publish another port, or stop it first"
      return ApusError(.conflict, "\(stage): address already in use\(who)\(advice)", cause: error)
    case EADDRNOTAVAIL:
      return ApusError(
        .invalidArgument,
        "\(stage): cannot assign requested address: the host has no such address; publish on one it has", cause: error)
    case EACCES:
      return ApusError(
        .permissionDenied,
        "\(stage): permission denied: ports below net.ipv4.ip_unprivileged_port_start are root's", cause: error)
    default: return error
    }
  }
}

extension HostPorts.Entry {
  /// As the kernel sees it: one address and all of them exclude each other, two different ones do not.
  func conflicts(with request: PortRequest, port: UInt16) -> Bool {
    guard self.port == port, proto == request.proto else { return false }
    guard let mine = address, let other = request.address else { return true }
    return mine.family == other.family && (mine == other || mine.isUnspecified || other.isUnspecified)
  }
}

/// A port of the host, reserved for as long as this lives.
public final class PortReservation: Sendable {
  public let proto: PortProtocol
  /// Nil: every address of both families.
  public let address: IPAddress?
  public let port: UInt16
  private let socket: Mutex<PortSocket?>
  private let table: HostPorts

  init(request: PortRequest, port: UInt16, socket: consuming PortSocket, table: HostPorts) {
    proto = request.proto
    address = request.address
    self.port = port
    self.socket = Mutex(socket)
    self.table = table
  }

  /// Gives the port back. May be called again.
  public func release() {
    socket.withLock { $0 = nil }
    table.forget(self)
  }

  deinit { table.forget(self) }
}

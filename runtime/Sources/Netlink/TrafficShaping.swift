import Errors
import Glibc

extension NetlinkRequest {
  /// Limits what an interface sends to `rate` bits per second (tc-tbf(8)); replaces a limit that is there.
  ///
  /// What exceeds it waits for at most 50 ms and is dropped then. 20 ms may be sent at once, at least ten packets.
  public static func limit(_ index: Int32, to rate: UInt64) -> NetlinkRequest {
    let bytes = max(rate / 8, 1)
    let burst = UInt32(clamping: max(bytes / 50, 16 << 10))
    let queue = UInt32(clamping: max(bytes / 20, 64 << 10))
    var message = NetlinkMessage(RouteMessage.newDiscipline, [.create, .replace])
    message.appendDisciplineHeader(index)
    message.attribute(DisciplineAttribute.kind, text: "tbf")
    message.nest(DisciplineAttribute.options) {
      // struct tc_tbf_qopt: two struct tc_ratespec (u8 cell_log, u8 linklayer, u16 overhead, s16 cell_align, u16 mpu,
      // u32 rate), u32 limit, buffer, mtu. TC_LINKLAYER_ETHERNET (1): no table of costs per cell is needed.
      var parameters = [UInt8](repeating: 0, count: 36)
      parameters[1] = 1
      func put(_ value: UInt32, at offset: Int) {
        withUnsafeBytes(of: value) { parameters.replaceSubrange(offset..<offset + 4, with: $0) }
      }
      put(UInt32(clamping: bytes), at: 8)
      put(burst &+ queue, at: 24)
      $0.attribute(DisciplineAttribute.parameters, bytes: parameters)
      $0.attribute(DisciplineAttribute.rate64, bytes < UInt64(UInt32.max) ? 0 : bytes)
      $0.attribute(DisciplineAttribute.burst, burst)
    }
    return NetlinkRequest(message, stage: "cannot limit the rate to \(rate) bit/s")
  }

  /// Takes the limit away. None is fine.
  public static func unlimit(_ index: Int32) -> NetlinkRequest {
    var message = NetlinkMessage(RouteMessage.deleteDiscipline)
    message.appendDisciplineHeader(index)
    return NetlinkRequest(message, stage: "cannot take a limit of the rate away", tolerating: [ENOENT, EINVAL, ENODEV])
  }
}

extension NetlinkSocket {
  /// The kind of the discipline by which an interface sends (`noqueue`, `tbf`, …).
  public mutating func discipline(of index: Int32) throws(ApusError) -> String? {
    var message = NetlinkMessage(RouteMessage.getDiscipline)
    message.appendDisciplineHeader(0)
    let replies = try dump(NetlinkRequest(message, stage: "cannot list the queueing disciplines"))
    // struct tcmsg: s32 index at 4.
    for reply in replies where reply.payload.integer(at: 4, as: Int32.self) == index {
      return reply.attributes(after: 20).text(DisciplineAttribute.kind)
    }
    return nil
  }
}

extension NetlinkMessage {
  /// struct tcmsg: u8 family, padding to 4, s32 index, u32 handle, parent, information; TC_H_ROOT.
  fileprivate mutating func appendDisciplineHeader(_ index: Int32) {
    append(UInt32(0))
    append(index)
    append(UInt32(0))
    append(index == 0 ? 0 : UInt32.max)
    append(UInt32(0))
  }
}

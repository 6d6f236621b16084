import CLinux
import Errors
import Glibc
import Linux

/// A socket to the kernel's networking, of the network namespace that its thread was in when it was made.
///
/// The kernel works on what is sent before the send returns, so nothing here ever waits.
public struct NetlinkSocket: ~Copyable, Sendable {
  public enum Family: Int32, Sendable { case route = 0, netfilter = 12 }

  /// Requests sent in one system call: the answers of all of them fit the socket's receive buffer as it is.
  private static let batchLimit = 128
  /// More than the kernel makes a datagram of a dump.
  private static let receiveLimit = 1 << 16
  private static let receiveFlags = Int32(MSG_DONTWAIT) | Int32(MSG_TRUNC)

  private let socket: OwnedDescriptor
  private var sequence: UInt32 = 0

  /// To pass to system calls while this lives.
  public var descriptor: Int32 { socket.raw }

  public init(_ family: Family = .route) throws(ApusError) { socket = try Self.open(family) }

  /// Of another network namespace, wherever the thread is.
  public init(_ family: Family = .route, in namespace: NetworkNamespace) throws(ApusError) {
    socket = try namespace.run { () throws(ApusError) in try Self.open(family) }
  }

  private static func open(_ family: Family) throws(ApusError) -> OwnedDescriptor {
    let socket = OwnedDescriptor(
      owning: try check(
        Glibc.socket(AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), family.rawValue),
        "cannot open a socket to the kernel's networking"))
    // Errors come with the kernel's own words (NETLINK_EXT_ACK), and without the request they answer (NETLINK_CAP_ACK).
    // A kernel that knows neither gives just the number.
    var one: Int32 = 1
    for option: Int32 in [11, 10] { _ = setsockopt(socket.raw, 270, option, &one, 4) }
    return socket
  }

  /// Executes requests in their order.
  ///
  /// All are executed, also those behind one that fails (the kernel does not stop): what may not happen after a failure
  /// belongs into another call. Throws for the first that failed.
  public mutating func perform(_ requests: [NetlinkRequest]) throws(ApusError) {
    var failure: ApusError?
    for start in stride(from: 0, to: requests.count, by: Self.batchLimit) {
      let batch = requests[start..<min(start + Self.batchLimit, requests.count)]
      let first = sequence &+ 1
      var bytes: [UInt8] = []
      for (index, request) in batch.enumerated() {
        sequence &+= 1
        // A failure is always reported: where the answer to the last is there, the others have succeeded or said so.
        let last = index == batch.count - 1
        request.message.encode(sequence: sequence, flags: last ? .acknowledge : [], into: &bytes)
      }
      let last = sequence
      try send(bytes)
      var isComplete = false
      while !isComplete {
        for reply in try receive() where reply.type == NetlinkType.error {
          guard reply.sequence &- first <= last &- first else { continue }
          isComplete = isComplete || reply.sequence == last
          let request = batch[batch.startIndex + Int(reply.sequence &- first)]
          if failure == nil, let error = Self.failure(reply, stage: request.stage, tolerating: request.tolerated) {
            failure = error
          }
        }
      }
    }
    if let failure { throw failure }
  }

  public mutating func perform(_ request: NetlinkRequest) throws(ApusError) { try perform([request]) }

  /// Asks for one thing. Returns nil where a tolerated error says that there is none.
  public mutating func query(_ request: NetlinkRequest) throws(ApusError) -> NetlinkReply? {
    sequence &+= 1
    var bytes: [UInt8] = []
    request.message.encode(sequence: sequence, into: &bytes)
    try send(bytes)
    while true {
      for reply in try receive() where reply.sequence == sequence {
        if reply.type != NetlinkType.error { return reply }
        if let error = Self.failure(reply, stage: request.stage, tolerating: request.tolerated) { throw error }
        return nil
      }
    }
  }

  /// Asks for everything of a kind.
  public mutating func dump(_ request: NetlinkRequest) throws(ApusError) -> [NetlinkReply] {
    // What changes meanwhile can be listed twice or not at all; the kernel says so, and the last answer is as good as any.
    for _ in 0..<8 {
      let (replies, isConsistent) = try dumpOnce(request)
      if isConsistent { return replies }
    }
    return try dumpOnce(request).replies
  }

  private mutating func dumpOnce(
    _ request: NetlinkRequest
  ) throws(ApusError) -> (replies: [NetlinkReply], isConsistent: Bool) {
    sequence &+= 1
    var bytes: [UInt8] = []
    request.message.encode(sequence: sequence, flags: .dump, into: &bytes)
    try send(bytes)
    var replies: [NetlinkReply] = []
    var isConsistent = true
    while true {
      for reply in try receive() where reply.sequence == sequence {
        // NLM_F_DUMP_INTR.
        if reply.flags & 0x10 != 0 { isConsistent = false }
        switch reply.type {
        case NetlinkType.done, NetlinkType.error:
          if let error = Self.failure(reply, stage: request.stage, tolerating: request.tolerated) { throw error }
          return (replies, isConsistent)
        default: replies.append(reply)
        }
      }
    }
  }

  // MARK: Bytes

  private func send(_ bytes: [UInt8]) throws(ApusError) {
    let sent = bytes.withUnsafeBytes { buffer in
      retrying { Glibc.send(socket.raw, buffer.baseAddress, buffer.count, 0) }
    }
    try check(sent, "cannot send to the kernel's networking")
  }

  /// The messages of one datagram. It is the kernel's: no program without CAP_NET_ADMIN can send one here.
  private func receive() throws(ApusError) -> [NetlinkReply] {
    var length = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: Self.receiveLimit) { buffer, filled in
      length = retrying { recv(socket.raw, buffer.baseAddress, buffer.count, Self.receiveFlags) }
      filled = max(0, min(length, buffer.count))
    }
    try check(length, "cannot receive from the kernel's networking")
    guard length <= Self.receiveLimit else {
      throw ApusError(.internal, "the kernel's networking answered with \(length) bytes, more than are expected")
    }
    return NetlinkReply.parse(bytes)
  }

  /// struct nlmsgerr, or the number at the end of a dump; nil: it is a success.
  static func failure(_ reply: NetlinkReply, stage: String, tolerating tolerated: [Int32] = []) -> ApusError? {
    guard let number = reply.payload.integer(at: 0, as: Int32.self) else {
      return ApusError(.internal, "\(stage): the kernel's answer is cut off")
    }
    guard number < 0, !tolerated.contains(-number) else { return nil }
    // NLM_F_ACK_TLVS; the request's header stands before them, and without NLM_F_CAPPED the rest of it.
    var words: String?
    if reply.flags & 0x200 != 0 {
      var offset = 4
      if reply.type == NetlinkType.error {
        let request = reply.payload.integer(at: 4, as: UInt32.self).map { Int($0) } ?? 0
        offset += reply.flags & 0x100 != 0 ? NetlinkMessage.headerLength : request
      }
      words = reply.attributes(after: offset).text(1)
    }
    guard let words, !words.isEmpty else { return ApusError(errno: -number, stage) }
    return ApusError(
      ErrorCode(errno: -number), "\(stage): \(describe(errno: -number)) (the kernel says: \(words))",
      cause: SystemFailure(errno: -number, stage: stage))
  }
}

/// NLMSG_*.
enum NetlinkType {
  static let error: UInt16 = 2
  static let done: UInt16 = 3
}

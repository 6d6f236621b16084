/// What a frame means.
///
/// Not an enumeration: a shim outlives daemons, so each side must survive a kind that only the other knows. A request of
/// an unknown kind is answered with an `unsupported` error; an unknown event is ignored.
public struct FrameKind: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  // Requests, from the daemon.

  /// ``CreateRequest``; answered with ``ProcessStarted`` once the container waits just before its program.
  public static let create = FrameKind(rawValue: 1)
  /// No payload, or ``ProcessStarted``: only if the first process is that one. Answered when the program has been executed.
  public static let start = FrameKind(rawValue: 2)
  /// ``AttachRequest``; after the answer, stream frames with the request's tag.
  public static let attach = FrameKind(rawValue: 3)
  /// ``ExecRequest``; answered with ``ProcessStarted``, then stream frames and ``execExited`` with the request's tag.
  public static let exec = FrameKind(rawValue: 4)
  /// ``ResizeRequest``.
  public static let resize = FrameKind(rawValue: 5)
  /// ``SignalRequest``.
  public static let signal = FrameKind(rawValue: 6)
  /// No payload; freezes every process.
  public static let pause = FrameKind(rawValue: 7)
  /// No payload; thaws every process.
  public static let resume = FrameKind(rawValue: 8)
  /// `LinuxResources`; what is unset stays as it is.
  public static let update = FrameKind(rawValue: 9)
  /// No payload; answered with ``SandboxStatistics``.
  public static let stats = FrameKind(rawValue: 10)
  /// No payload; answered with ``ProcessList``.
  public static let processes = FrameKind(rawValue: 11)
  /// No payload; answered with ``SandboxState``.
  public static let state = FrameKind(rawValue: 12)
  /// No payload; after the answer, events on this connection.
  public static let subscribe = FrameKind(rawValue: 13)
  /// No payload; kills everything. Answered at once; the end is the same as after an exit by itself.
  public static let destroy = FrameKind(rawValue: 14)

  /// ``CreateRequest`` of the kind that is to be expected: what can be made ahead of the real one is made. Before
  /// ``create`` only; answered with ``ProcessStarted``, whose pid is 0 where nothing could be made ahead.
  public static let prepare = FrameKind(rawValue: 15)

  // Replies, with the request's tag.

  /// Payload as the request says, often none.
  public static let ok = FrameKind(rawValue: 32)
  /// ``ErrorReply``.
  public static let error = FrameKind(rawValue: 33)

  // Events, from the shim; tag 0 unless said otherwise.

  /// ``ExitRecord``: the container has ended and is cleaned up. The last event.
  public static let exited = FrameKind(rawValue: 48)
  /// ``ExecExited``; to subscribers, and with the tag of the `exec` request to its connection.
  public static let execExited = FrameKind(rawValue: 49)
  /// No payload: the kernel killed something in the container for lack of memory.
  public static let oom = FrameKind(rawValue: 50)

  // Streams, with the tag of the `attach` or `exec` request.

  /// Bytes for the process.
  public static let stdin = FrameKind(rawValue: 64)
  /// Bytes from the process; everything, when it has a terminal.
  public static let stdout = FrameKind(rawValue: 65)
  /// Bytes from the process.
  public static let stderr = FrameKind(rawValue: 66)
  /// No payload: no more ``stdin`` will follow.
  public static let closeStdin = FrameKind(rawValue: 67)
  /// No payload: no more ``stdout`` or ``stderr`` will follow.
  public static let end = FrameKind(rawValue: 68)
}

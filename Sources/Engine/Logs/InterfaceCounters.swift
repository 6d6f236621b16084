import Errors
import Linux

/// What an interface has counted since it was made (proc_net_dev(5)).
public struct InterfaceCounters: Sendable, Equatable {
  public var receivedBytes: UInt64 = 0
  public var receivedPackets: UInt64 = 0
  public var receiveErrors: UInt64 = 0
  public var receiveDrops: UInt64 = 0
  public var sentBytes: UInt64 = 0
  public var sentPackets: UInt64 = 0
  public var sendErrors: UInt64 = 0
  public var sendDrops: UInt64 = 0
  public init() {}

  /// Of every interface but the loopback, by name, in the network namespace of a process. Blocks.
  ///
  /// - Throws: where the process is gone.
  static func all(of process: Int32) throws(ApusError) -> [String: InterfaceCounters] {
    all(in: String(decoding: try Files.read("/proc/\(process)/net/dev", limit: 1 << 20), as: UTF8.self))
  }

  /// Reads the kernel's table: two lines of headings, then one for each interface.
  static func all(in table: String) -> [String: InterfaceCounters] {
    var all: [String: InterfaceCounters] = [:]
    for line in table.split(separator: "\n") {
      guard let colon = line.lastIndex(of: ":") else { continue }
      let numbers = line[line.index(after: colon)...].split(separator: " ").map { UInt64($0) ?? 0 }
      let name = line[..<colon].drop { $0 == " " }
      guard numbers.count >= 16, name != "lo" else { continue }
      var counters = InterfaceCounters()
      counters.receivedBytes = numbers[0]
      counters.receivedPackets = numbers[1]
      counters.receiveErrors = numbers[2]
      counters.receiveDrops = numbers[3]
      counters.sentBytes = numbers[8]
      counters.sentPackets = numbers[9]
      counters.sendErrors = numbers[10]
      counters.sendDrops = numbers[11]
      all[String(name)] = counters
    }
    return all
  }
}

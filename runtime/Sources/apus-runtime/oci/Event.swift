import Linux
import RuntimeSpec

/// The lines of `events`, each a JSON object.
enum Event {
  static func outOfMemory(id: String) -> String { line(id: id, type: "oom") { _ in } }

  static func statistics(_ statistics: CgroupStatistics, id: String) -> String {
    line(id: id, type: "stats") { writer in object(&writer, "data") { write(statistics, to: &$0) } }
  }

  private static func line(id: String, type: String, _ more: (inout JSONWriter) -> Void) -> String {
    var writer = JSONWriter()
    object(&writer) { writer in
      writer.put("type", type)
      writer.put("id", id)
      more(&writer)
    }
    return String(decoding: writer.bytes, as: UTF8.self) + "\n"
  }

  private static func write(_ statistics: CgroupStatistics, to writer: inout JSONWriter) {
    object(&writer, "cpu") { writer in
      object(&writer, "usage") {
        $0.putIfSet("total", statistics.processorTime)
        $0.putIfSet("percpu", statistics.timeByProcessor)
        $0.put("kernel", statistics.systemTime)
        $0.put("user", statistics.userTime)
      }
      object(&writer, "throttling") {
        $0.putIfSet("periods", statistics.throttlingPeriods)
        $0.putIfSet("throttledPeriods", statistics.throttledPeriods)
        $0.putIfSet("throttledTime", statistics.throttledTime)
      }
    }
    object(&writer, "memory") { writer in
      let details = statistics.memoryDetails
      writer.putIfSet("cache", details["cache"] ?? details["file"] ?? 0)
      object(&writer, "usage") {
        $0.put("limit", statistics.memoryLimit)
        $0.put("usage", statistics.memory)
        $0.put("max", statistics.maximumMemory)
        $0.put("failcnt", statistics.memoryFailures)
      }
      object(&writer, "swap") { $0.put("usage", statistics.swap) }
      writer.putIfSet("raw", details)
    }
    object(&writer, "pids") {
      $0.putIfSet("current", statistics.processes)
      if statistics.processLimit != .max { $0.putIfSet("limit", statistics.processLimit) }
    }
    object(&writer, "blkio") { write(statistics.devices, to: &$0) }
    object(&writer, "hugetlb") { _ in }
    object(&writer, "intel_rdt") { _ in }
  }

  private static func write(_ devices: [CgroupStatistics.DeviceUsage], to writer: inout JSONWriter) {
    func list(
      _ name: String, _ read: (CgroupStatistics.DeviceUsage) -> UInt64,
      _ write: (CgroupStatistics.DeviceUsage) -> UInt64
    ) {
      writer.name(name)
      writer.beginArray()
      for device in devices {
        for (operation, value) in [("Read", read(device)), ("Write", write(device))] {
          object(&writer) {
            $0.putIfSet("major", device.major)
            $0.putIfSet("minor", device.minor)
            $0.put("op", operation)
            $0.putIfSet("value", value)
          }
        }
      }
      writer.endArray()
    }
    guard !devices.isEmpty else { return }
    list("ioServiceBytesRecursive", \.readBytes, \.writeBytes)
    list("ioServicedRecursive", \.readOperations, \.writeOperations)
  }

  private static func object(_ writer: inout JSONWriter, _ name: String? = nil, _ members: (inout JSONWriter) -> Void) {
    if let name { writer.name(name) }
    writer.beginObject()
    members(&writer)
    writer.endObject()
  }
}

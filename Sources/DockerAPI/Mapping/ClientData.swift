import DockerTypes
import Engine
import Errors
import FoundationEssentials

/// What the API gives back as it was given, and the engine has no use for: how binds and ports were spelled, lists that
/// were empty rather than null. Kept as JSON without its zero values.
enum ClientData {
  private static let hostKey = "docker.HostConfig"

  static func remember(_ request: ContainerCreateRequest, in data: inout [String: String]) throws(ApusError) {
    do {
      try CompactEncoding.$omitsZeros.withValue(true) {
        if let host = request.hostConfig { data[hostKey] = try encoded(host) }
      }
    } catch {
      throw ApusError(.internal, "the request cannot be remembered", cause: error)
    }
  }

  static func hostConfig(_ data: [String: String]) -> HostConfig? { decoded(data[hostKey]) }

  private static func encoded(_ value: some Encodable) throws -> String {
    String(decoding: try WireEncoder.encode(value), as: UTF8.self)
  }

  private static func decoded<Value: Decodable>(_ text: String?) -> Value? {
    text.flatMap { try? JSONDecoder().decode(Value.self, from: Data($0.utf8)) }
  }
}

import FoundationEssentials

/// The `filters` of a query: for each key the wanted values.
///
/// Reads both forms that clients send, `{"label":["a"]}` and the older `{"label":{"a":true}}`, and writes the first.
public struct Filters: Sendable, Equatable, Codable {
  public private(set) var values: [String: [String]]

  public init(_ values: [String: [String]] = [:]) { self.values = values }

  /// Reads the query parameter's JSON; empty text is no filter. Throws when it is neither form.
  public init(json: String) throws {
    guard !json.isEmpty else {
      self.init()
      return
    }
    self = try JSONDecoder().decode(Filters.self, from: Data(json.utf8))
  }

  private enum Wanted: Decodable {
    case list([String])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let set = try? container.decode([String: Bool].self) {
        self = .list(set.filter(\.value).keys.sorted())
      } else {
        self = .list(try container.decode([String].self))
      }
    }
  }

  public init(from decoder: any Decoder) throws {
    let wanted = try decoder.singleValueContainer().decode([String: Wanted].self)
    values = wanted.mapValues { wanted in
      switch wanted {
      case .list(let list): list
      }
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(values)
  }

  public var isEmpty: Bool { values.isEmpty }
  public var keys: [String] { values.keys.sorted() }

  public subscript(_ key: String) -> [String] { values[key] ?? [] }

  public mutating func add(_ value: String, for key: String) { values[key, default: []].append(value) }

  /// Whether nothing is asked of `key`, or one of the wanted values satisfies `predicate`.
  public func allows(_ key: String, _ predicate: (String) -> Bool) -> Bool {
    guard let wanted = values[key], !wanted.isEmpty else { return true }
    return wanted.contains(where: predicate)
  }

  /// Whether `labels` have every `key` or `key=value` that `label` asks for, and none that `label!` excludes.
  public func allows(labels: [String: String]) -> Bool {
    func matches(_ wanted: String) -> Bool {
      let parts = wanted.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let actual = labels[String(parts[0])] else { return false }
      return parts.count == 1 || actual == parts[1]
    }
    return self["label"].allSatisfy(matches) && !self["label!"].contains(where: matches)
  }

  /// The one truth value of `key` (`true`, `1`, `false`, `0`); nil when absent or something else.
  public func flag(_ key: String) -> Bool? {
    guard let values = values[key], values.count == 1 else { return nil }
    switch values[0].lowercased() {
    case "1", "true", "t": return true
    case "0", "false", "f": return false
    default: return nil
    }
  }
}

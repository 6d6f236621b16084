/// The JSON of the Docker Engine API 1.50 as Swift types, shared by the daemon and by its client.
///
/// Property names are the JSON names with their first word in lower case (`HostConfig.nanoCpus` is `NanoCpus`).
/// Three kinds of members mirror what the reference implementation writes:
/// - `@Field var x: T`: always written; absent or `null` reads as the zero value.
/// - `@Field var x: T?`: written as `null` when nil.
/// - `var x: T?`: absent when nil.
public enum DockerAPIVersion {
  /// The newest that is spoken.
  public static let current = "1.50"
  /// The oldest that is accepted.
  public static let minimum = "1.24"
}

/// A value of the API that has a zero: Go's, which absent and `null` members stand for.
public protocol WireValue: Codable {
  init()
}

extension String: WireValue {}
extension Bool: WireValue {}
extension Int: WireValue {}
extension UInt16: WireValue {}
extension UInt32: WireValue {}
extension UInt64: WireValue {}
extension Double: WireValue {}
extension Array: WireValue where Element: Codable {}
extension Dictionary: WireValue where Key == String, Value: Codable {}
extension Optional: WireValue where Wrapped: Codable {
  public init() { self = nil }
}

/// Set while encoding to leave zero values out: the compact form in which a request is remembered.
public enum CompactEncoding {
  @TaskLocal public static var omitsZeros = false
}

/// A member that is always written (nil as `null`), and whose absence reads as zero.
@propertyWrapper
public struct Field<Value: WireValue & Sendable>: Codable, Sendable {
  public var wrappedValue: Value

  public init() { wrappedValue = Value() }
  public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }

  public init(from decoder: any Decoder) throws {
    wrappedValue = try decoder.singleValueContainer().decode(Value.self)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(wrappedValue)
  }
}

extension Field: Equatable where Value: Equatable {}

extension KeyedDecodingContainer {
  /// Chosen by the synthesised conformances for every ``Field``.
  public func decode<Value>(_ type: Field<Value>.Type, forKey key: Key) throws -> Field<Value> {
    Field(wrappedValue: try decodeIfPresent(Value.self, forKey: key) ?? Value())
  }
}

extension KeyedEncodingContainer {
  /// Chosen by the synthesised conformances for every ``Field``.
  public mutating func encode<Value: Equatable>(_ field: Field<Value>, forKey key: Key) throws {
    if CompactEncoding.omitsZeros, field.wrappedValue == Value() { return }
    try encode(field.wrappedValue, forKey: key)
  }
}

/// `{}`: a set's member, or a type of which nothing is used.
public struct EmptyObject: WireValue, Equatable, Sendable {
  public init() {}
}

/// A list of strings that may come as one string (`Cmd`, `Entrypoint`, `CapAdd`).
public struct StringList: WireValue, Equatable, Sendable, ExpressibleByArrayLiteral {
  public var values: [String]

  public init() { values = [] }
  public init(_ values: [String]) { self.values = values }
  public init(arrayLiteral elements: String...) { values = elements }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let one = try? container.decode(String.self) {
      values = [one]
    } else {
      values = try container.decode([String].self)
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(values)
  }
}

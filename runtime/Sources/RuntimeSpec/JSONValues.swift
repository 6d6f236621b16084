extension String: JSONValue {
  public init(reading reader: inout JSONReader) throws(JSONError) { self = try reader.string() }
  public func write(to writer: inout JSONWriter) { writer.string(self) }
}

extension Bool: JSONValue {
  public init(reading reader: inout JSONReader) throws(JSONError) { self = try reader.boolean() }
  public func write(to writer: inout JSONWriter) { writer.boolean(self) }
}

extension JSONValue where Self: FixedWidthInteger {
  public init(reading reader: inout JSONReader) throws(JSONError) { self = try reader.integer(Self.self) }
  public func write(to writer: inout JSONWriter) { writer.integer(self) }
}

extension Int: JSONValue {}
extension Int32: JSONValue {}
extension Int64: JSONValue {}
extension UInt16: JSONValue {}
extension UInt32: JSONValue {}
extension UInt64: JSONValue {}

extension Array: JSONValue where Element: JSONValue {
  public init(reading reader: inout JSONReader) throws(JSONError) {
    var elements: [Element] = []
    try reader.array { (reader) throws(JSONError) in elements.append(try Element(reading: &reader)) }
    self = elements
  }

  public func write(to writer: inout JSONWriter) {
    writer.beginArray()
    for element in self { element.write(to: &writer) }
    writer.endArray()
  }
}

extension Dictionary: JSONValue where Key == String, Value: JSONValue {
  public init(reading reader: inout JSONReader) throws(JSONError) {
    var members: [String: Value] = [:]
    try reader.object { (name, reader) throws(JSONError) in
      members[name] = try Value(reading: &reader)
      return true
    }
    self = members
  }

  public func write(to writer: inout JSONWriter) {
    writer.beginObject()
    for (name, value) in sorted(by: { $0.key < $1.key }) { writer.put(name, value) }
    writer.endObject()
  }
}

import Errors

/// What the PAX extended header before an entry says of it (POSIX pax, GNU sparse formats 0.0 to 1.0, star's xattrs).
/// An empty value means "as the plain header says", which is also what an absent one means.
struct PAXRecords {
  var path: [UInt8]?
  var linkTarget: [UInt8]?
  var size: Int64?
  var uid: Int64?
  var gid: Int64?
  var modified: (seconds: Int64, nanoseconds: UInt32)?
  var attributes: [(name: [UInt8], value: [UInt8])] = []
  var sparseMajor: Int64?
  var sparseMinor: Int64?
  var sparseName: [UInt8]?
  var sparseSize: Int64?
  /// Offset, length, offset, length, … of formats 0.0 and 0.1.
  var sparseMap: [Int64]?

  /// Version 1.0 keeps its map in front of the data.
  var mapIsInData: Bool { sparseMajor == 1 && sparseMinor == 0 }

  private static let attributePrefix = Array("SCHILY.xattr.".utf8)

  /// - Parameter limit: of all attributes' bytes together.
  mutating func parse(_ body: [UInt8], attributeLimit: Int) throws(ApusError) {
    var rest = body[...]
    var attributeBytes = 0
    while let first = rest.first {
      // Some writers pad the body with NULs.
      if first == 0, rest.allSatisfy({ $0 == 0 }) { return }
      guard let space = rest.prefix(12).firstIndex(of: 0x20), let length = TarNumber.decimal(rest[..<space]),
        length > Int64(space - rest.startIndex) + 2, length <= Int64(rest.count)
      else { throw Self.malformed("a record's length is wrong") }
      let end = rest.startIndex + Int(length)
      guard rest[end - 1] == 0x0a else { throw Self.malformed("a record does not end where it says") }
      let record = rest[(space + 1)..<(end - 1)]
      guard let equals = record.firstIndex(of: 0x3d), equals > record.startIndex else {
        throw Self.malformed("a record has no keyword")
      }
      rest = rest[end...]
      let value = record[(equals + 1)...]
      if record[..<equals].starts(with: Self.attributePrefix) {
        let name = Array(record[record.startIndex..<equals].dropFirst(Self.attributePrefix.count))
        attributeBytes += name.count + value.count
        guard !name.isEmpty, !name.contains(0), attributeBytes <= attributeLimit else {
          throw Self.malformed("extended attributes are malformed or too large")
        }
        attributes.removeAll { $0.name == name }
        attributes.append((name, Array(value)))
      } else {
        try set(String(decoding: record[..<equals], as: UTF8.self), value)
      }
    }
  }

  private mutating func set(_ key: String, _ value: ArraySlice<UInt8>) throws(ApusError) {
    func number() throws(ApusError) -> Int64? {
      if value.isEmpty { return nil }
      guard let number = TarNumber.decimal(value) else { throw Self.malformed("'\(key)' is no number") }
      return number
    }
    func name() throws(ApusError) -> [UInt8]? {
      guard !value.contains(0) else { throw Self.malformed("'\(key)' contains a NUL") }
      return value.isEmpty ? nil : Array(value)
    }
    switch key {
    case "path": path = try name()
    case "linkpath": linkTarget = try name()
    case "size": size = try number()
    case "uid": uid = try number()
    case "gid": gid = try number()
    case "mtime":
      guard !value.isEmpty else { return modified = nil }
      guard let time = TarNumber.time(value) else { throw Self.malformed("'mtime' is no time") }
      modified = time
    case "GNU.sparse.major": sparseMajor = try number()
    case "GNU.sparse.minor": sparseMinor = try number()
    case "GNU.sparse.name": sparseName = try name()
    case "GNU.sparse.size", "GNU.sparse.realsize": sparseSize = try number()
    case "GNU.sparse.numblocks": if sparseMap == nil { sparseMap = [] }
    case "GNU.sparse.offset", "GNU.sparse.numbytes":
      // Format 0.0 repeats the pair; it must alternate.
      guard let number = try number(), (sparseMap?.count ?? 0) % 2 == (key == "GNU.sparse.offset" ? 0 : 1) else {
        throw Self.malformed("the sparse map is out of order")
      }
      sparseMap = (sparseMap ?? []) + CollectionOfOne(number)
    case "GNU.sparse.map":
      var map: [Int64] = []
      for part in value.split(separator: 0x2c, omittingEmptySubsequences: value.isEmpty) {
        guard let number = TarNumber.decimal(part) else { throw Self.malformed("the sparse map is malformed") }
        map.append(number)
      }
      sparseMap = map
    default: break
    }
  }

  static func malformed(_ why: String) -> ApusError {
    ApusError(.invalidArgument, "broken tar archive: in a PAX header, \(why)")
  }
}

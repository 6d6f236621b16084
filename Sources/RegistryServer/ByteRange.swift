/// A `Range` header of one range in bytes (RFC 9110, section 14.2).
enum ByteRange: Equatable {
  /// All of it: no range was asked for, or none that is understood.
  case whole
  case part(Range<Int64>)
  /// Nothing of it is there: 416.
  case unsatisfiable

  init(_ header: String?, size: Int64) {
    self = .whole
    guard let header, header.hasPrefix("bytes="), !header.contains(",") else { return }
    let ends = header.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count == 2 else { return }
    switch (Int64(ends[0]), Int64(ends[1])) {
    case (let start?, let last?) where start >= 0 && last >= start && last < .max:
      self = start < size ? .part(start..<min(last + 1, size)) : .unsatisfiable
    case (let start?, nil) where start >= 0 && ends[1].isEmpty:
      self = start < size ? .part(start..<size) : .unsatisfiable
    case (nil, let count?) where ends[0].isEmpty && count >= 0:
      self = count > 0 && size > 0 ? .part(max(0, size - count)..<size) : .unsatisfiable
    default: break
    }
  }
}

/// The `Content-Range` of a chunk, `<start>-<end>`, both inclusive; some clients write `bytes` before it
/// (distribution-spec, "Pushing a blob in chunks").
struct ChunkRange: Equatable {
  var start: Int64
  var end: Int64

  init?(_ header: String) {
    var text = header[...]
    for prefix in ["bytes ", "bytes="] where text.hasPrefix(prefix) { text = text.dropFirst(prefix.count) }
    text = text.prefix { $0 != "/" }
    let ends = text.split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count == 2, let start = Int64(ends[0]), let end = Int64(ends[1]), start >= 0, end >= start, end < .max
    else { return nil }
    self.start = start
    self.end = end
  }

  var count: Int64 { end - start + 1 }
}

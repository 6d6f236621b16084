import Errors
import Glibc
import ImageSpec
import Linux

@testable import Layers

/// What is fuzzed, by name. Whatever the input: an error of ours or a result, no crash, no endless loop, no lost memory.
let fuzzTargets: [String: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32] = [
  "layer": { start, count in fuzzLayer(UnsafeRawBufferPointer(start: start, count: count)) },
  "decompress": { start, count in fuzzDecompression(UnsafeRawBufferPointer(start: start, count: count)) },
  "documents": { start, count in fuzzDocuments(UnsafeRawBufferPointer(start: start, count: count)) },
  "specification": { start, count in fuzzSpecification(UnsafeRawBufferPointer(start: start, count: count)) },
  "plan": { start, count in fuzzPlan(UnsafeRawBufferPointer(start: start, count: count)) },
  "dns": { start, count in fuzzDNS(UnsafeRawBufferPointer(start: start, count: count)) },
  "reference": { start, count in fuzzReference(UnsafeRawBufferPointer(start: start, count: count)) },
]

/// Tar archives to EROFS images. The first byte says how large the pieces are in which the rest arrives.
func fuzzLayer(_ input: UnsafeRawBufferPointer) -> Int32 {
  guard let first = input.first else { return -1 }
  var archive = Array(input.dropFirst())
  seal(&archive)
  let descriptor = memfd_create("layer", UInt32(MFD_CLOEXEC))
  guard descriptor >= 0 else { return -1 }
  do {
    let converter = try LayerConverter(OwnedDescriptor(owning: descriptor), name: "a layer")
    var reader = TarReader(entryLimit: 10_000)
    var rest = archive[...]
    while !rest.isEmpty {
      let piece = Array(rest.prefix(Int(first) * 37 + 1))
      rest = rest.dropFirst(piece.count)
      try piece.withBytes { (bytes) throws(ApusError) in try reader.consume(bytes, into: converter) }
    }
    try reader.finish()
    let size = try converter.finish(uuid: [UInt8](repeating: 1, count: 16))
    precondition(size % 4096 == 0 && size > 0)
  } catch {
    precondition(!error.message.isEmpty)
  }
  return 0
}

/// Makes checksums right: no mutation would get past them.
private func seal(_ archive: inout [UInt8]) {
  for block in stride(from: 0, to: archive.count - 511, by: 512)
  where archive[(block + 257)..<(block + 262)].elementsEqual("ustar".utf8) {
    for index in 148..<156 { archive[block + index] = 0x20 }
    var sum = archive[block..<(block + 512)].reduce(0) { $0 + Int($1) }
    for index in stride(from: 153, through: 148, by: -1) {
      archive[block + index] = UInt8(0x30 + sum & 7)
      sum >>= 3
    }
    archive[block + 154] = 0
  }
}

/// The first byte says how large the pieces are in which the rest arrives.
func fuzzDecompression(_ input: UnsafeRawBufferPointer) -> Int32 {
  guard let first = input.first else { return -1 }
  let bytes = Array(input.dropFirst())
  do {
    guard let decompressor = try Compression(prefix: bytes.prefix(Compression.prefixLength)).makeDecompressor() else {
      return -1
    }
    var size = 0
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = Array(rest.prefix(Int(first) * 7 + 1))
      rest = rest.dropFirst(piece.count)
      try piece.withBytes { (piece) throws(ApusError) in
        try decompressor.decompress(piece) { (output) throws(ApusError) in
          precondition(!output.isEmpty)
          size += output.count
          guard size < 16 << 20 else { throw ApusError(.resourceExhausted, "enough") }
        }
      }
    }
    try decompressor.finish()
  } catch {
    precondition(!error.message.isEmpty)
  }
  return 0
}

/// Documents as registries send them; what is understood must survive being written and read again.
func fuzzDocuments(_ input: UnsafeRawBufferPointer) -> Int32 {
  guard let first = input.first else { return -1 }
  func read<Document: ImageDocument & Equatable>(_ type: Document.Type) -> Document? {
    do {
      let document = try Document(json: input.dropFirst())
      let again = try Document(json: document.json())
      precondition(document == again)
      return document
    } catch {
      precondition(!error.message.isEmpty)
      return nil
    }
  }
  switch first % 3 {
  case 0: _ = read(Manifest.self)
  case 1:
    guard let index = read(Index.self) else { break }
    _ = index.manifest(for: Platform.host)
    _ = index.manifest(for: Platform(architecture: "arm", variant: "v7"))
  default:
    guard let configuration = read(ImageConfiguration.self) else { break }
    _ = configuration.created.flatMap(RFC3339.date)
    _ = configuration.platform.normalized
  }
  return 0
}

/// Names that users write; what is understood must mean the same in every form.
func fuzzReference(_ input: UnsafeRawBufferPointer) -> Int32 {
  let text = String(decoding: input, as: UTF8.self)
  do {
    let reference = try Reference(parsing: text)
    for form in [reference.canonical, reference.familiar] {
      precondition((try? Reference(parsing: form)) == reference, "\(form) is not what it was")
    }
    let tagged = reference.withDefaultTag
    precondition((try? Reference(parsing: tagged.canonical)) == tagged)
  } catch {
    precondition(!error.message.isEmpty)
  }
  if let digest = Digest(text) { precondition(digest.description == text) }
  if let platform = try? Platform(parsing: text) {
    precondition(platform.normalized == platform)
    precondition(platform.distance(to: platform) == 0)
    precondition((try? Platform(parsing: platform.description)) == platform, platform.description)
  }
  _ = RFC3339.date(text)
  return 0
}

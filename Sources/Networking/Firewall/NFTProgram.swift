import Errors
import Glibc
import Linux

/// Running nft(8).
struct NFTProgram: Sendable {
  /// Where it is looked for.
  static let paths = ["/usr/sbin/nft", "/usr/local/sbin/nft", "/sbin/nft", "/usr/bin/nft"]

  /// Nil: wherever it is found.
  var path: String?

  /// Does what the text says as one transaction.
  func apply(_ text: String) throws(ApusError) { _ = try run(["-f", "-"], input: text) }

  /// - Returns: what it wrote.
  func run(_ arguments: [String], input: String = "") throws(ApusError) -> String {
    guard let program = path ?? Self.paths.first(where: { access($0, X_OK) == 0 }) else {
      throw ApusError(
        .unsupported, "cannot set up the firewall: the program nft is not there; install the package nftables")
    }
    // Files, not pipes: neither side ever waits for the other to read.
    let standardInput = try Self.file(containing: input)
    let output = try Self.file(containing: "")
    let errors = try Self.file(containing: "")
    let child = try Spawn.process(
      program, arguments: [String(program.split(separator: "/").last ?? "nft")] + arguments, environment: ["LC_ALL=C"],
      descriptors: [(standardInput.raw, 0), (output.raw, 1), (errors.raw, 2)], newSession: false)
    guard try Processes.wait(for: child)?.code == 0 else { throw Self.failure(try Self.text(of: errors)) }
    return try Self.text(of: output)
  }

  private static func file(containing text: String) throws(ApusError) -> OwnedDescriptor {
    let file = OwnedDescriptor(owning: try check(memfd_create("nft", UInt32(MFD_CLOEXEC)), "cannot make a file"))
    let bytes = Array(text.utf8)
    var written = 0
    while written < bytes.count {
      written += try check(
        bytes.withUnsafeBytes { bytes in
          retrying { write(file.raw, bytes.baseAddress.map { $0 + written }, bytes.count - written) }
        }, "cannot hand the rules to nft")
    }
    lseek(file.raw, 0, SEEK_SET)
    return file
  }

  private static func text(of file: borrowing OwnedDescriptor) throws(ApusError) -> String {
    lseek(file.raw, 0, SEEK_SET)
    return String(
      decoding: try Files.read(descriptor: file.raw, limit: 64 << 20, name: "what nft wrote"), as: UTF8.self)
  }

  /// The first of what nft complains of, without its place and picture.
  private static func failure(_ text: String) -> ApusError {
    let line = text.split(separator: "\n").first { $0.contains("Error: ") } ?? text.split(separator: "\n").first ?? ""
    let parts = line.split(separator: " ", omittingEmptySubsequences: false)
    let words = parts.firstIndex(of: "Error:").map { parts[($0 + 1)...].joined(separator: " ") } ?? String(line)
    if words.contains("Operation not permitted") {
      return ApusError(
        .permissionDenied, "cannot set up the firewall: nft may not change the host's rules; the daemon must be root")
    }
    return ApusError(.internal, "cannot set up the firewall: nft says: \(words.isEmpty ? "nothing" : words)")
  }
}

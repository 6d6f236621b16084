import Errors

/// Understands what mmdebstrap, apt and dpkg print, line by line.
struct BootstrapProgress {
  /// Seconds since 1970 that everything in the image is dated by.
  private(set) var epoch: Int64?
  private var packages: Set<String> = []
  private var configured: Int64 = 0
  private var complaints: [String] = []
  private var last: [String] = []

  /// The message that a line is worth, nil for chatter.
  mutating func take(_ line: String) -> TransferProgress? {
    if line.hasPrefix("apus: epoch ") {
      epoch = Int64(line.dropFirst(12))
      return nil
    }
    if line.hasPrefix("E: ") || line.hasPrefix("dpkg: error") { complaints.append(Self.printable(line)) }
    last.append(Self.printable(line))
    if last.count > 5 { last.removeFirst() }
    if complaints.count > 5 { complaints.removeLast() }

    if line.hasPrefix("Get:") || line.hasPrefix("I: running apt-get update") {
      return TransferProgress(status: "Reading package lists")
    }
    if line.hasPrefix("I: downloading packages") { return TransferProgress(status: "Downloading packages") }
    if line.hasPrefix("I: extracting archives") { return TransferProgress(status: "Extracting essential packages") }
    if line.hasPrefix("I: cleaning") { return TransferProgress(status: "Cleaning up") }
    if line.hasPrefix("I: creating tarball") { return TransferProgress(status: "Storing the layer") }
    if line.hasPrefix("Setting up ") {
      configured += 1
      return TransferProgress(
        status: "Setting up \(Self.name(line.dropFirst(11)))", current: configured,
        total: Int64(max(packages.count, Int(configured))))
    }
    if line.hasPrefix("Unpacking ") {
      let name = Self.name(line.dropFirst(10))
      packages.insert(name)
      return TransferProgress(status: "Unpacking \(name)")
    }
    return nil
  }

  /// Why it failed, as far as it said.
  var failure: String {
    let lines = complaints.isEmpty ? last : complaints
    return lines.isEmpty
      ? "it gave no reason" : lines.map { $0.hasPrefix("E: ") ? String($0.dropFirst(3)) : $0 }.joined(separator: "; ")
  }

  private static func name(_ text: Substring) -> String { printable(String(text.prefix { $0 != " " && $0 != ":" })) }

  private static func printable(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7f }).prefix(200))
  }
}

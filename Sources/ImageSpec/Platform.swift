import Errors

/// What a manifest runs on (OCI image-spec, image index, `platform`). Names are Go's GOOS and GOARCH.
public struct Platform: Hashable, Sendable, Codable, CustomStringConvertible {
  public var architecture: String
  public var os: String
  public var variant: String?
  public var osVersion: String?
  public var osFeatures: [String]?

  enum CodingKeys: String, CodingKey {
    case architecture, os, variant
    case osVersion = "os.version"
    case osFeatures = "os.features"
  }

  public init(
    architecture: String, os: String = "linux", variant: String? = nil, osVersion: String? = nil,
    osFeatures: [String]? = nil
  ) {
    self.architecture = architecture
    self.os = os
    self.variant = variant
    self.osVersion = osVersion
    self.osFeatures = osFeatures
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    architecture = try container.decodeIfPresent(String.self, forKey: .architecture) ?? ""
    os = try container.decodeIfPresent(String.self, forKey: .os) ?? ""
    variant = try container.decodeIfPresent(String.self, forKey: .variant)
    osVersion = try container.decodeIfPresent(String.self, forKey: .osVersion)
    osFeatures = try container.decodeIfPresent([String].self, forKey: .osFeatures)
  }

  #if arch(x86_64)
    public static let host = Platform(architecture: "amd64")
  #elseif arch(arm64)
    public static let host = Platform(architecture: "arm64")
  #else
    #error("name this processor as Go does")
  #endif

  /// `os/architecture[/variant]`, `architecture` or `os` alone (`linux/arm64`, `amd64`, `linux/arm/v7`).
  /// - Throws: `invalidArgument`, naming the text.
  public init(parsing text: String) throws(ApusError) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { $0.lowercased() }
    let wellFormed = parts.allSatisfy { part in
      !part.isEmpty && part.utf8.count <= 64
        && part.utf8.allSatisfy {
          (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2e || $0 == 0x2d || $0 == 0x5f
        }
    }
    guard wellFormed, (1...3).contains(parts.count) else {
      throw ApusError(.invalidArgument, "invalid platform '\(text.prefix(64))': expected os/architecture[/variant]")
    }
    if parts.count > 1 {
      self.init(architecture: parts[1], os: parts[0], variant: parts.count > 2 ? parts[2] : nil)
    } else if ["linux", "windows", "darwin", "freebsd"].contains(parts[0]) {
      self.init(architecture: Platform.host.architecture, os: parts[0], variant: Platform.host.variant)
    } else {
      self.init(architecture: parts[0])
    }
    self = normalized
  }

  /// The same platform under the names that everyone uses: `x86_64` is amd64, `aarch64` is arm64, and variants that
  /// mean the baseline are left out.
  public var normalized: Platform {
    var result = self
    result.os = os.lowercased() == "macos" ? "darwin" : os.lowercased()
    result.variant = variant?.lowercased()
    switch architecture.lowercased() {
    case "x86_64", "x86-64", "amd64":
      result.architecture = "amd64"
      if result.variant == "v1" { result.variant = nil }
    case "aarch64", "arm64":
      result.architecture = "arm64"
      if result.variant == "v8" || result.variant == "8" { result.variant = nil }
    case "i386", "i486", "i586", "i686", "386":
      result.architecture = "386"
      result.variant = nil
    case "armhf":
      result.architecture = "arm"
      result.variant = "v7"
    case "armel":
      result.architecture = "arm"
      result.variant = "v6"
    case "arm":
      result.architecture = "arm"
      let variant = result.variant ?? ""
      result.variant = variant.isEmpty ? "v7" : ["5", "6", "7", "8"].contains(variant) ? "v" + variant : variant
    case let other:
      result.architecture = other
    }
    if result.variant == "" { result.variant = nil }
    return result
  }

  /// How well something built for `candidate` runs where this platform is wanted: nil not at all, 0 exactly, more is
  /// worse. An older variant of the same architecture runs on a newer one, not the reverse.
  public func distance(to candidate: Platform) -> Int? {
    let wanted = normalized
    let offered = candidate.normalized
    guard wanted.os == offered.os, wanted.architecture == offered.architecture else { return nil }
    if let version = wanted.osVersion, let other = offered.osVersion, version != other { return nil }
    if wanted.variant == offered.variant { return 0 }
    func level(_ variant: String?) -> Int? {
      guard let variant else { return wanted.architecture == "arm64" ? 8 : 1 }
      return variant.hasPrefix("v") ? Int(variant.dropFirst()) : nil
    }
    guard let here = level(wanted.variant), let there = level(offered.variant), there < here else { return nil }
    return here - there
  }

  public var description: String { [os, architecture, variant].compactMap { $0 }.joined(separator: "/") }
}

import Errors

/// A pointer to content: its type, digest and size (OCI image-spec, "Content Descriptors").
public struct Descriptor: Hashable, Sendable, Codable {
  public var mediaType: String
  public var digest: Digest
  /// Bytes.
  public var size: Int64
  public var urls: [String]?
  public var annotations: [String: String]?
  public var platform: Platform?
  public var artifactType: String?

  public init(
    mediaType: String, digest: Digest, size: Int64, urls: [String]? = nil, annotations: [String: String]? = nil,
    platform: Platform? = nil, artifactType: String? = nil
  ) {
    self.mediaType = mediaType
    self.digest = digest
    self.size = size
    self.urls = urls
    self.annotations = annotations
    self.platform = platform
    self.artifactType = artifactType
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    mediaType = try container.decodeIfPresent(String.self, forKey: .mediaType) ?? ""
    digest = try container.decode(Digest.self, forKey: .digest)
    size = try container.decode(Int64.self, forKey: .size)
    guard size >= 0 else {
      throw DecodingError.dataCorruptedError(forKey: .size, in: container, debugDescription: "a size below zero")
    }
    urls = try container.decodeIfPresent([String].self, forKey: .urls)
    annotations = try container.decodeIfPresent([String: String].self, forKey: .annotations)
    platform = try container.decodeIfPresent(Platform.self, forKey: .platform)
    artifactType = try container.decodeIfPresent(String.self, forKey: .artifactType)
  }
}

/// One image for one platform: its configuration and its layers, lowest first (OCI image manifest; Docker schema 2.2).
public struct Manifest: Hashable, ImageDocument {
  public static let documentName = "image manifest"
  public var schemaVersion: Int
  public var mediaType: String?
  public var artifactType: String?
  public var config: Descriptor
  public var layers: [Descriptor]
  public var subject: Descriptor?
  public var annotations: [String: String]?

  public init(
    mediaType: String? = MediaType.manifest, artifactType: String? = nil, config: Descriptor, layers: [Descriptor],
    subject: Descriptor? = nil, annotations: [String: String]? = nil
  ) {
    schemaVersion = 2
    self.mediaType = mediaType
    self.artifactType = artifactType
    self.config = config
    self.layers = layers
    self.subject = subject
    self.annotations = annotations
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    schemaVersion = try container.decode(Int.self, forKey: .schemaVersion)
    guard schemaVersion == 2 else {
      throw DecodingError.dataCorruptedError(
        forKey: .schemaVersion, in: container, debugDescription: "version \(schemaVersion) is not supported, only 2 is")
    }
    mediaType = try container.decodeIfPresent(String.self, forKey: .mediaType)
    artifactType = try container.decodeIfPresent(String.self, forKey: .artifactType)
    config = try container.decode(Descriptor.self, forKey: .config)
    layers = try container.decodeIfPresent([Descriptor].self, forKey: .layers) ?? []
    subject = try container.decodeIfPresent(Descriptor.self, forKey: .subject)
    annotations = try container.decodeIfPresent([String: String].self, forKey: .annotations)
  }
}

/// Manifests for several platforms, or of several images (OCI image index; Docker manifest list).
public struct Index: Hashable, ImageDocument {
  public static let documentName = "image index"
  public var schemaVersion: Int
  public var mediaType: String?
  public var artifactType: String?
  public var manifests: [Descriptor]
  public var subject: Descriptor?
  public var annotations: [String: String]?

  public init(
    mediaType: String? = MediaType.index, artifactType: String? = nil, manifests: [Descriptor],
    subject: Descriptor? = nil, annotations: [String: String]? = nil
  ) {
    schemaVersion = 2
    self.mediaType = mediaType
    self.artifactType = artifactType
    self.manifests = manifests
    self.subject = subject
    self.annotations = annotations
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    schemaVersion = try container.decode(Int.self, forKey: .schemaVersion)
    guard schemaVersion == 2 else {
      throw DecodingError.dataCorruptedError(
        forKey: .schemaVersion, in: container, debugDescription: "version \(schemaVersion) is not supported, only 2 is")
    }
    mediaType = try container.decodeIfPresent(String.self, forKey: .mediaType)
    artifactType = try container.decodeIfPresent(String.self, forKey: .artifactType)
    manifests = try container.decodeIfPresent([Descriptor].self, forKey: .manifests) ?? []
    subject = try container.decodeIfPresent(Descriptor.self, forKey: .subject)
    annotations = try container.decodeIfPresent([String: String].self, forKey: .annotations)
  }

  /// The manifest that runs best on `platform`, nil if none does. Without any platform named in the index, its first.
  /// Attestations (platform `unknown`) are never chosen.
  public func manifest(for platform: Platform) -> Descriptor? {
    let images = manifests.filter {
      $0.platform?.os != "unknown" && $0.annotations?["vnd.docker.reference.type"] == nil
    }
    var best: (descriptor: Descriptor, distance: Int)?
    for descriptor in images {
      guard let offered = descriptor.platform, let distance = platform.distance(to: offered) else { continue }
      if let found = best, found.distance <= distance { continue }
      best = (descriptor, distance)
    }
    if let best { return best.descriptor }
    return images.first { $0.platform == nil }
  }
}

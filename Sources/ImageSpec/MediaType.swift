/// Media types of the OCI image-spec and of Docker's schema 2, which is its ancestor.
public enum MediaType {
  public static let index = "application/vnd.oci.image.index.v1+json"
  public static let manifest = "application/vnd.oci.image.manifest.v1+json"
  public static let configuration = "application/vnd.oci.image.config.v1+json"
  public static let layer = "application/vnd.oci.image.layer.v1.tar"
  public static let layerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
  public static let layerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"
  public static let empty = "application/vnd.oci.empty.v1+json"

  public static let dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
  public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
  public static let dockerConfiguration = "application/vnd.docker.container.image.v1+json"
  public static let dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"
  public static let dockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"
  public static let dockerLayerZstd = "application/vnd.docker.image.rootfs.diff.tar.zstd"
  /// Schema 1, long deprecated: recognised only so that it can be refused by name.
  public static let dockerManifestV1 = "application/vnd.docker.distribution.manifest.v1+json"
  public static let dockerManifestV1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"

  /// What a client accepts where a manifest or an index is asked for, the preferred first.
  public static let manifestsAndIndexes = [index, dockerManifestList, manifest, dockerManifest]

  public static func isIndex(_ type: String) -> Bool { type == index || type == dockerManifestList }
  public static func isManifest(_ type: String) -> Bool { type == manifest || type == dockerManifest }
  public static func isConfiguration(_ type: String) -> Bool {
    type == configuration || type == dockerConfiguration
  }

  /// Is it a filesystem layer that can be unpacked, whatever its compression? Layers that Docker calls foreign and
  /// OCI non-distributable have the same content, only other terms of distribution.
  public static func isLayer(_ type: String) -> Bool {
    type == dockerLayer || type == dockerLayerGzip || type == dockerLayerZstd
      || type.hasPrefix("application/vnd.oci.image.layer.v1.tar")
      || type.hasPrefix("application/vnd.oci.image.layer.nondistributable.v1.tar")
      || type == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
  }
}

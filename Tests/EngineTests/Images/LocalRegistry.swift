import Errors
import FoundationEssentials
import Glibc
import ImageSpec
import Registry

@testable import Engine

/// Debian's `docker-registry` on a loopback port, with a directory of its own.
final class LocalRegistry: Sendable {
  static let isAvailable = Command.exists("docker-registry") && Command.exists("skopeo")
  static let credentials = RegistryCredentials(username: "user", password: "s3cret")

  let port: Int
  let root: String
  private let child: ChildProcess

  var domain: String { "127.0.0.1:\(port)" }

  /// - Parameter password: ask for ``credentials``.
  init(password: Bool = false) async throws {
    root = "/tmp/apus-registry-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    port = Int.random(in: 20_000..<30_000)
    guard mkdir(root, 0o700) == 0 else { throw ApusError(.internal, "cannot make \(root)") }
    let auth = """
      auth:
        htpasswd:
          realm: test
          path: \(root)/htpasswd
      """
    let text = """
      version: 0.1
      log: {level: error}
      storage: {filesystem: {rootdirectory: \(root)/data}, delete: {enabled: true}}
      http: {addr: "127.0.0.1:\(port)"}
      \(password ? auth : "")
      """
    // bcrypt of the password above.
    try Self.write("user:$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n", to: root + "/htpasswd")
    try Self.write(text, to: root + "/config.yml")
    child = try ChildProcess(["docker-registry", "serve", root + "/config.yml"])
    for _ in 0..<200 {
      if (try? Command.run(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/\(port)"])) != nil { return }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw ApusError(.internal, "docker-registry does not start")
  }

  func stop() {
    child.end()
    child.output.close()
    child.reap()
    _ = try? Command.run(["rm", "-rf", root])
  }

  private static func write(_ text: String, to path: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path))
  }
}

/// An OCI layout on disk, made by hand: what skopeo copies from.
enum Layout {
  /// One image with these layers (file lists), as `<directory>` with the tag `latest`.
  static func make(_ directory: String, layers: [[(name: String, text: String)]], tag: String = "latest") throws {
    try Command.run(["mkdir", "-p", directory + "/blobs/sha256"])
    func blob(_ bytes: [UInt8]) throws -> String {
      let digest = ContentDigest.sha256(bytes)
      try Data(bytes).write(to: URL(filePath: "\(directory)/blobs/sha256/\(digest.hex)"))
      return #""digest":"\#(digest)","size":\#(bytes.count)"#
    }
    let tars = layers.map { tar($0) }
    let layerText = try tars.map { #"{"mediaType":"application/vnd.oci.image.layer.v1.tar",\#(try blob($0))}"# }
    let config = """
      {"architecture":"amd64","os":"linux","created":"2024-01-02T03:04:05Z","config":{"Cmd":["sh"]},\
      "rootfs":{"type":"layers","diff_ids":[\(tars.map { "\"\(ContentDigest.sha256($0))\"" }.joined(separator: ","))]},\
      "history":[\(layers.indices.map { "{\"created\":\"2024-01-02T03:04:05Z\",\"created_by\":\"step \($0)\"}" }.joined(separator: ","))]}
      """
    let manifest = """
      {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",\
      "config":{"mediaType":"application/vnd.oci.image.config.v1+json",\(try blob(Array(config.utf8)))},\
      "layers":[\(layerText.joined(separator: ","))]}
      """
    let index = """
      {"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",\(try blob(Array(manifest.utf8))),\
      "annotations":{"org.opencontainers.image.ref.name":"\(tag)"}}]}
      """
    try Data(index.utf8).write(to: URL(filePath: directory + "/index.json"))
    try Data(#"{"imageLayoutVersion":"1.0.0"}"#.utf8).write(to: URL(filePath: directory + "/oci-layout"))
  }

  /// An index of one image for each architecture, as a layout's archive with the name `all:1`.
  static func makeIndex(platforms: [String]) throws -> (index: Digest, archive: [UInt8]) {
    var files: [(name: String, text: String)] = [("oci-layout", #"{"imageLayoutVersion":"1.0.0"}"#)]
    func blob(_ text: String) -> String {
      let digest = ContentDigest.sha256(Array(text.utf8))
      files.append(("blobs/sha256/\(digest.hex)", text))
      return #""digest":"\#(digest)","size":\#(text.utf8.count)"#
    }
    let entries = platforms.map { architecture in
      let layer = String(decoding: tar([("text", "for \(architecture)")]), as: UTF8.self)
      let diffID = ContentDigest.sha256(Array(layer.utf8))
      let config = """
        {"architecture":"\(architecture)","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["\(diffID)"]}}
        """
      let manifest = """
        {"schemaVersion":2,"mediaType":"\(MediaType.manifest)",\
        "config":{"mediaType":"\(MediaType.configuration)",\(blob(config))},\
        "layers":[{"mediaType":"\(MediaType.layer)",\(blob(layer))}]}
        """
      return """
        {"mediaType":"\(MediaType.manifest)",\(blob(manifest)),\
        "platform":{"architecture":"\(architecture)","os":"linux"}}
        """
    }
    let index = """
      {"schemaVersion":2,"mediaType":"\(MediaType.index)","manifests":[\(entries.joined(separator: ","))]}
      """
    let top = """
      {"schemaVersion":2,"manifests":[{"mediaType":"\(MediaType.index)",\(blob(index)),\
      "annotations":{"io.containerd.image.name":"docker.io/library/all:1"}}]}
      """
    files.append(("index.json", top))
    return (ContentDigest.sha256(Array(index.utf8)), tar(files))
  }

  static func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }
}

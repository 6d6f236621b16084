import Errors
import Glibc
import NIOSSL

/// A host's own certificates, as Docker keeps them: `DIRECTORY/HOST[:PORT]/*.crt`, and pairs of `*.cert` and `*.key`.
struct HostCertificates: Sendable {
  /// PEM files of authorities that are trusted for this host besides the system's.
  var authorities: [String] = []
  /// The client's certificate chain and its key.
  var client: (certificate: String, key: String)?

  /// nil: nothing is kept for this host.
  /// - Throws: `invalidArgument` for half a client certificate, as Docker does.
  static func find(host: String, in directories: [String]) throws(ApusError) -> HostCertificates? {
    // The host comes from a parsed reference or URL; a name that could leave the directory is nobody's.
    guard !host.contains("/"), !host.hasPrefix(".") else { return nil }
    for directory in directories {
      let path = "\(directory)/\(host)"
      guard let names = entries(of: path) else { continue }
      var found = HostCertificates()
      for name in names.sorted() {
        if name.hasSuffix(".crt") { found.authorities.append("\(path)/\(name)") }
        guard name.hasSuffix(".cert") else { continue }
        let key = name.dropLast(5) + ".key"
        guard names.contains(String(key)) else {
          throw ApusError(.invalidArgument, "\(path)/\(name) has no key: put it beside it as \(key)")
        }
        found.client = ("\(path)/\(name)", "\(path)/\(key)")
      }
      return found
    }
    return nil
  }

  /// What a client's TLS needs to be told. A file that cannot be used is named.
  func apply(to tls: inout TLSConfiguration) throws(ApusError) {
    for path in authorities {
      do {
        tls.additionalTrustRoots.append(.certificates(try NIOSSLCertificate.fromPEMFile(path)))
      } catch {
        throw ApusError(.invalidArgument, "\(path) holds no PEM certificate that can be used", cause: error)
      }
    }
    guard let client else { return }
    do {
      tls.certificateChain = try NIOSSLCertificate.fromPEMFile(client.certificate).map { .certificate($0) }
      tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: client.key, format: .pem))
    } catch {
      throw ApusError(
        .invalidArgument, "\(client.certificate) and \(client.key) are no PEM certificate and key that can be used",
        cause: error)
    }
    do {
      _ = try NIOSSLContext(configuration: tls)
    } catch {
      throw ApusError(
        .invalidArgument,
        "\(client.certificate) and \(client.key) do not belong together: give the key of that certificate", cause: error
      )
    }
  }

  private static func entries(of path: String) -> [String]? {
    guard let directory = opendir(path) else { return nil }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      names.append(
        withUnsafePointer(to: entry.pointee.d_name) { name in
          name.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: name.pointee)) {
            String(cString: $0)
          }
        })
    }
    return names
  }
}

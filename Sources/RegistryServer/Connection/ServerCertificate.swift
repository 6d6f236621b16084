import Errors
import NIOSSL

/// TLS from PEM files.
enum ServerCertificate {
  /// - Throws: `invalidArgument` naming the file that cannot be used.
  static func context(certificate: String, key: String) throws(ApusError) -> NIOSSLContext {
    let chain: [NIOSSLCertificateSource]
    do {
      chain = try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) }
    } catch {
      throw ApusError(.invalidArgument, "\(certificate) holds no PEM certificate that can be used", cause: error)
    }
    do {
      let key = try NIOSSLPrivateKey(file: key, format: .pem)
      var configuration = TLSConfiguration.makeServerConfiguration(
        certificateChain: chain, privateKey: .privateKey(key))
      configuration.minimumTLSVersion = .tlsv12
      configuration.applicationProtocols = ["http/1.1"]
      return try NIOSSLContext(configuration: configuration)
    } catch {
      throw ApusError(
        .invalidArgument, "\(key) holds no PEM key that can be used with \(certificate)", cause: error)
    }
  }
}

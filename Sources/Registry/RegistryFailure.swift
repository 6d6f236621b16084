import AsyncHTTPClient
import Errors
import FoundationEssentials
import ImageSpec
import NIOCore
import NIOPosix
import NIOSSL

/// What the registry itself said (distribution-spec, "Error Codes").
struct RegistryComplaint: Decodable, Error {
  struct Item: Decodable {
    var code: String?
    var message: String?
  }
  var errors: [Item]

  /// `name unknown: repository name not known to registry`, at most a line, or nil when there is nothing of the kind.
  static func sentence(in body: [UInt8]) -> String? {
    guard let complaint = try? JSONDecoder().decode(Self.self, from: Data(body)), let first = complaint.errors.first
    else { return nil }
    let code = (first.code ?? "").lowercased().split(separator: "_").joined(separator: " ")
    let parts = [code, first.message ?? ""].filter { !$0.isEmpty }
    guard !parts.isEmpty else { return nil }
    return printable(parts.joined(separator: ": "))
  }

  /// The text goes to a terminal: no control characters, and a line of it.
  static func printable(_ text: String) -> String {
    String(
      text.unicodeScalars.filter { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) }.prefix(300)
        .map(Character.init))
  }
}

/// What was asked for, for the error sentence.
enum Subject: Sendable {
  case manifest(Reference)
  case blob(Digest, Reference)
  case tags(Reference)
  case referrers(Reference)
  case upload(Digest, Reference)
  case push(Reference)
  case search(String)
  case service

  var text: String {
    switch self {
    case .manifest(let reference), .push(let reference): reference.familiar
    case .blob(let digest, let reference), .upload(let digest, let reference):
      "blob \(digest.short) of \(reference.familiarName)"
    case .tags(let reference): "the tags of \(reference.familiarName)"
    case .referrers(let reference): "the referrers of \(reference.familiar)"
    case .search(let term): "images named like '\(RegistryComplaint.printable(term))'"
    case .service: "an answer"
    }
  }

  private var verb: String {
    switch self {
    case .upload, .push: "push"
    default: "get"
    }
  }

  private var preposition: String {
    switch self {
    case .upload, .push: "to"
    default: "from"
    }
  }

  /// The sentence for an answer that is no success.
  func failure(status: UInt, body: [UInt8], authenticated: Bool, at host: String) -> ApusError {
    let complaint = RegistryComplaint.sentence(in: body)
    let said = complaint.map { ": \($0)" } ?? ""
    switch status {
    case 401, 403:
      switch self {
      case .manifest(let reference) where !authenticated:
        // A registry hides the existence of what it does not show: one answer for both, as Docker gives it.
        return ApusError(
          .notFound,
          "pull access denied for \(reference.familiarName), repository does not exist or may require 'docker login'"
            + said)
      case .push(let reference) where !authenticated, .upload(_, let reference) where !authenticated:
        return ApusError(
          .permissionDenied,
          "push access to \(reference.familiarName) denied: it needs 'docker login', or allows no push" + said)
      case .service where authenticated:
        return ApusError(.permissionDenied, "\(host) does not accept this user name and password\(said)")
      default:
        let why = status == 401 ? "the credentials were not accepted" : "access is denied"
        return ApusError(.permissionDenied, "cannot \(verb) \(text) \(preposition) \(host): \(why)\(said)")
      }
    case 404:
      switch self {
      case .manifest(let reference):
        return ApusError(
          .notFound, "manifest for \(reference.familiar) not found\(said.isEmpty ? ": manifest unknown" : said)")
      case .push, .upload:
        return ApusError(.notFound, "cannot push \(text) to \(host): it knows no such repository or upload\(said)")
      default:
        return ApusError(.notFound, "\(host) does not have \(text)\(said)")
      }
    case 405 where verb == "push":
      return ApusError(.unsupported, "\(host) takes no pushes: it is read-only\(said)")
    case 413:
      return ApusError(.resourceExhausted, "\(host) finds \(text) too large (413)\(said)")
    case 429:
      return ApusError(
        .resourceExhausted, "\(host) refuses more requests for now (429)\(said); log in or try again later")
    case 400..<500 where verb == "push":
      return ApusError(.invalidArgument, "\(host) refuses \(text) (HTTP \(status))\(said)")
    case 500...599:
      return ApusError(.unavailable, "\(host) failed to answer for \(text) (HTTP \(status))\(said)")
    default:
      return ApusError(.internal, "\(host) gave an unexpected answer for \(text) (HTTP \(status))\(said)")
    }
  }

  /// The sentence for a request that got no answer, or lost it half-way.
  func failure(_ error: any Error, at host: String) -> any Error {
    if error is ApusError || error is CancellationError { return error }
    if case .cancelled? = error as? HTTPClientError { return CancellationError() }
    return ApusError(
      .unavailable, "cannot \(verb) \(text) \(preposition) \(host): \(ConnectionFailure.reason(error))", cause: error)
  }
}

/// Why a connection failed, in words.
enum ConnectionFailure {
  static func reason(_ error: any Error) -> String {
    switch error {
    case let error as HTTPClientError:
      switch error {
      case .connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout: return "it did not answer in time"
      case .readTimeout, .deadlineExceeded, .writeTimeout: return "the connection stood still for too long"
      case .remoteConnectionClosed, .uncleanShutdown: return "it closed the connection"
      default: return error.shortDescription
      }
    case let error as NIOConnectionError:
      return error.connectionErrors.first.map { reason($0.error) } ?? "its name does not resolve"
    case let error as IOError:
      switch error.errnoCode {
      case 111: return "connection refused"
      case 113, 101: return "no route to it"
      case 104, 32: return "it closed the connection"
      case 110: return "it did not answer in time"
      default: return "the connection failed"
      }
    default:
      return tls(error) ?? "the connection failed"
    }
  }

  /// TLS in words; nil: it has nothing to do with TLS. The library's description carries the only useful ones.
  static func tls(_ error: any Error) -> String? {
    let text = "\(error)"
    if error is NIOSSLExtraError {
      return text.contains("Hostname") || text.contains("hostname")
        ? "its TLS certificate is for another name" : "its TLS certificate is not usable"
    }
    guard error is NIOSSLError || error is BoringSSLError || text.contains("SSL") || text.contains("TLS") else {
      return nil
    }
    let clientCertificate =
      "it demands a client certificate that it trusts: put one and its key into /etc/apus/certs.d/HOST"
    let words: [(String, String)] = [
      (
        "CERTIFICATE_VERIFY_FAILED",
        "its TLS certificate is not trusted: put its authority's certificate into "
          + "/etc/apus/certs.d/HOST/ca.crt, or configure the registry as insecure"
      ),
      ("CERTIFICATE_EXPIRED", "its TLS certificate has expired"),
      ("WRONG_VERSION_NUMBER", "it does not speak TLS: configure the registry as insecure if that is intended"),
      ("HTTP_REQUEST", "it does not speak TLS: configure the registry as insecure if that is intended"),
      // Some servers call none at all a bad one.
      ("CERTIFICATE_REQUIRED", clientCertificate), ("BAD_CERTIFICATE", clientCertificate),
      ("UNKNOWN_CA", clientCertificate),
      ("HANDSHAKE_FAILURE", "no common TLS parameters were found"),
      ("PROTOCOL_VERSION", "it speaks only obsolete versions of TLS"),
    ]
    return words.first { text.contains($0.0) }?.1 ?? "TLS failed"
  }
}

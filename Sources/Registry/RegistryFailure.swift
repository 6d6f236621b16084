import AsyncHTTPClient
import Errors
import FoundationEssentials
import ImageSpec
import NIOCore
import NIOPosix

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
    let text = parts.joined(separator: ": ")
    // The text goes to a terminal: no control characters.
    return String(text.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7f }.prefix(300).map(Character.init))
  }
}

/// What was asked for, for the error sentence.
enum Subject: Sendable {
  case manifest(Reference)
  case blob(Digest, Reference)
  case tags(Reference)
  case service(String)

  var domain: String {
    switch self {
    case .manifest(let reference), .blob(_, let reference), .tags(let reference): reference.domain
    case .service(let domain): domain
    }
  }

  var text: String {
    switch self {
    case .manifest(let reference): reference.familiar
    case .blob(let digest, let reference): "blob \(digest.short) of \(reference.familiarName)"
    case .tags(let reference): "the tags of \(reference.familiarName)"
    case .service(let domain): domain
    }
  }

  /// The sentence for an answer that is no success.
  func failure(status: UInt, body: [UInt8], authenticated: Bool) -> ApusError {
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
      default:
        let why = status == 401 ? "the credentials were not accepted" : "access is denied"
        return ApusError(.permissionDenied, "cannot get \(text) from \(domain): \(why)\(said)")
      }
    case 404:
      switch self {
      case .manifest(let reference):
        return ApusError(
          .notFound, "manifest for \(reference.familiar) not found\(said.isEmpty ? ": manifest unknown" : said)")
      case .blob, .tags, .service:
        return ApusError(.notFound, "\(domain) does not have \(text)\(said)")
      }
    case 429:
      return ApusError(
        .resourceExhausted, "\(domain) refuses more requests for now (429)\(said); log in or try again later")
    case 500...599:
      return ApusError(.unavailable, "\(domain) failed to answer for \(text) (HTTP \(status))\(said)")
    default:
      return ApusError(.internal, "\(domain) gave an unexpected answer for \(text) (HTTP \(status))\(said)")
    }
  }

  /// The sentence for a request that got no answer, or lost it half-way.
  func failure(_ error: any Error) -> any Error {
    if error is ApusError || error is CancellationError { return error }
    let why: String
    switch error {
    case let error as HTTPClientError:
      switch error {
      case .cancelled: return CancellationError()
      case .connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout: why = "it did not answer in time"
      case .readTimeout, .deadlineExceeded: why = "it stopped sending"
      case .remoteConnectionClosed, .uncleanShutdown: why = "it closed the connection"
      default: why = error.shortDescription
      }
    case let error as NIOConnectionError:
      why = error.connectionErrors.first.map { Self.reason($0.error) } ?? "its name does not resolve"
    case let error as IOError:
      why = Self.reason(error)
    default:
      why = Self.reason(error)
    }
    return ApusError(.unavailable, "cannot get \(text) from \(domain): \(why)", cause: error)
  }

  private static func reason(_ error: any Error) -> String {
    switch error {
    case let error as IOError:
      switch error.errnoCode {
      case 111: "connection refused"
      case 113, 101: "no route to it"
      case 104: "it closed the connection"
      case 110: "it did not answer in time"
      default: "the connection failed"
      }
    default:
      // TLS errors of the library carry the only useful words in their description.
      "\(error)".contains("CERTIFICATE") ? "its TLS certificate is not trusted" : "the connection failed"
    }
  }
}

import Errors
import HTTPTypes
import Hummingbird
import NIOCore

/// What goes wrong with a request, as the specification words it (distribution-spec, "Error Codes").
struct Problem: Error {
  enum Code: String, Encodable {
    case blobUnknown = "BLOB_UNKNOWN"
    case blobUploadInvalid = "BLOB_UPLOAD_INVALID"
    case blobUploadUnknown = "BLOB_UPLOAD_UNKNOWN"
    case digestInvalid = "DIGEST_INVALID"
    case manifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
    case manifestInvalid = "MANIFEST_INVALID"
    case manifestUnknown = "MANIFEST_UNKNOWN"
    case nameInvalid = "NAME_INVALID"
    case nameUnknown = "NAME_UNKNOWN"
    case sizeInvalid = "SIZE_INVALID"
    case unauthorized = "UNAUTHORIZED"
    case denied = "DENIED"
    case unsupported = "UNSUPPORTED"
    case tooManyRequests = "TOOMANYREQUESTS"
    case unknown = "UNKNOWN"
  }

  var status: HTTPResponse.Status
  var code: Code
  var message: String
  var headers = HTTPFields()

  init(_ status: HTTPResponse.Status, _ code: Code, _ message: String) {
    self.status = status
    self.code = code
    self.message = message
  }

  func with(_ name: HTTPField.Name, _ value: String) -> Problem {
    var copy = self
    copy.headers[name] = value
    return copy
  }

  private struct Body: Encodable {
    struct Item: Encodable {
      var code: Code
      var message: String
    }
    var errors: [Item]
  }

  var response: Response {
    var response = Response.json(status, Body(errors: [.init(code: code, message: message)]))
    for field in headers { response.headers[field.name] = field.value }
    return response
  }

  /// What an unforeseen failure is for the client; the log has the rest.
  init(_ error: any Error) {
    switch error {
    case let problem as Problem: self = problem
    case let error as ApusError where error.code == .resourceExhausted:
      self.init(
        HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage"), .denied,
        "the registry has no room for it; its log says more")
    default: self.init(.internalServerError, .unknown, "the registry failed to answer; its log says why")
    }
  }
}

// Those that more than one resource has.
extension Problem {
  static func unknownName(_ name: String) -> Problem {
    Problem(.notFound, .nameUnknown, "there is no repository \(name)")
  }
  static let invalidDigest = Problem(.badRequest, .digestInvalid, "the digest is none: expected sha256:<64 hex digits>")
  static func wrongMethod(_ allowed: String) -> Problem {
    Problem(.methodNotAllowed, .unsupported, "the method is not for this address").with(.allow, allowed)
  }
}

import DockerTypes
import Engine
import Errors
import HTTPTypes
import Hummingbird
import NIOCore

/// The one table from errors to what a client of the API gets.
enum ErrorTable {
  static func status(_ error: ApusError) -> HTTPResponse.Status {
    // A program that is missing or cannot be run is the request's fault, whatever its code.
    if let exit = error.exitStatus, exit == 126 || exit == 127 { return .badRequest }
    return switch error.code {
    case .notFound: .notFound
    case .conflict: .conflict
    case .invalidArgument: .badRequest
    case .unsupported: .notImplemented
    case .permissionDenied: .forbidden
    case .unavailable: .serviceUnavailable
    case .deadlineExceeded: .gatewayTimeout
    case .resourceExhausted, .internal: .internalServerError
    }
  }

  static func response(_ error: any Error) -> Response {
    switch error {
    case let error as ApusError: response(status(error), error.message)
    case let error as HTTPError: response(error.status, error.body ?? error.status.reasonPhrase)
    case is CancellationError: response(.serviceUnavailable, "the daemon is shutting down")
    default: response(.internalServerError, sentence(error))
    }
  }

  static func response(_ status: HTTPResponse.Status, _ message: String) -> Response {
    var body = ErrorResponse()
    body.message = message
    return .json(body, status: status)
  }

  /// An error as one sentence, for a stream that has begun.
  static func sentence(_ error: any Error) -> String {
    (error as? ApusError)?.message ?? "the daemon failed unexpectedly: \(error)"
  }
}

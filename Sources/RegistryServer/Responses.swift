import FoundationEssentials
import HTTPTypes
import Hummingbird
import ImageSpec
import NIOCore

extension HTTPField.Name {
  static let contentDigest = unchecked("Docker-Content-Digest")
  static let uploadIdentifier = unchecked("Docker-Upload-UUID")
  static let apiVersion = unchecked("Docker-Distribution-Api-Version")
  static let subject = unchecked("OCI-Subject")
  static let tag = unchecked("OCI-Tag")
  static let filtersApplied = unchecked("OCI-Filters-Applied")
  static let link = unchecked("Link")

  /// Names that are constants of this file, and tokens.
  private static func unchecked(_ name: String) -> HTTPField.Name {
    guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is no header name") }
    return name
  }
}

extension Response {
  static func json(_ status: HTTPResponse.Status, _ body: some Encodable, type: String = "application/json") -> Response
  {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let bytes = (try? encoder.encode(body)) ?? Data()
    return Response(
      status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }

  /// An answer without content.
  static func empty(_ status: HTTPResponse.Status, _ headers: HTTPFields = [:]) -> Response {
    Response(status: status, headers: headers)
  }
}

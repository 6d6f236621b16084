import DockerTypes
import Errors

/// A version of the API as in a request's path.
struct APIVersion: Sendable, Equatable, Comparable {
  let major: Int
  let minor: Int

  static let current = APIVersion(1, 50)
  static let minimum = APIVersion(1, 24)

  init(_ major: Int, _ minor: Int) {
    self.major = major
    self.minor = minor
  }

  /// Reads `1.43`; nil when it is no version.
  init?(_ text: Substring) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let major = Self.number(parts[0]), let minor = Self.number(parts[1]) else { return nil }
    self.init(major, minor)
  }

  static func < (left: APIVersion, right: APIVersion) -> Bool {
    (left.major, left.minor) < (right.major, right.minor)
  }

  /// - Throws: `invalidArgument` in the reference implementation's words, which clients look for.
  func requireSupported() throws(ApusError) {
    if self < .minimum {
      throw ApusError(
        .invalidArgument,
        "client version \(major).\(minor) is too old. Minimum supported API version is \(DockerAPIVersion.minimum), "
          + "please upgrade your client to a newer version")
    }
    if self > .current {
      throw ApusError(
        .invalidArgument,
        "client version \(major).\(minor) is too new. Maximum supported API version is \(DockerAPIVersion.current)")
    }
  }

  private static func number(_ text: Substring) -> Int? {
    text.utf8.count <= 4 && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      ? Int(text) : nil
  }
}

/// Where the API changed its mind.
extension APIVersion {
  /// A list of networks does not say who is in them.
  static let briefNetworkLists = APIVersion(1, 28)
  /// Attach and logs say `multiplexed-stream` where they used to say `raw-stream`.
  static let multiplexedStreams = APIVersion(1, 42)
  /// Images without a name have empty lists where they used to have `<none>:<none>`.
  static let emptyNames = APIVersion(1, 43)
  /// Images and disk usage have no `VirtualSize`.
  static let withoutVirtualSize = APIVersion(1, 44)
  /// Containers are made in several networks at once, and have an Ethernet address for each.
  static let severalEndpoints = APIVersion(1, 44)
  /// Image inspection has no `Container` and `ContainerConfig`.
  static let withoutImageContainer = APIVersion(1, 45)
  /// Aliases are those asked for; `DNSNames` has all.
  static let namesOfEndpoints = APIVersion(1, 45)
  /// Networks may do without IPv4, and endpoints have priorities.
  static let gatewayPriorities = APIVersion(1, 48)
  /// Image inspection's `Config` has only what the image sets.
  static let leanImageConfig = APIVersion(1, 50)
}

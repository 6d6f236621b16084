// swift-tools-version: 6.2
import PackageDescription

// Nothing outside the toolchain and libseccomp: the product is one fully static executable whose start
// costs less than a millisecond, so Foundation and the concurrency runtime stay out (docs/decisions/0001).
let settings: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  // Glibc hides setns, unshare, memfd_create, statx and their kin without it.
  .unsafeFlags(["-Xcc", "-D_GNU_SOURCE"]),
]

let package = Package(
  name: "runtime",
  products: [
    .library(name: "Errors", targets: ["Errors"]),
    .library(name: "Linux", targets: ["Linux"]),
    .library(name: "Netlink", targets: ["Netlink"]),
    .library(name: "RuntimeSpec", targets: ["RuntimeSpec"]),
    .library(name: "SandboxProtocol", targets: ["SandboxProtocol"]),
    .executable(name: "apus-runtime", targets: ["apus-runtime"]),
  ],
  targets: [
    .systemLibrary(
      name: "CSeccomp", path: "Sources/CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
    .target(name: "CLinux", cSettings: [.define("_GNU_SOURCE")]),
    // Only for the executable: it runs before main.
    .target(name: "CStart", cSettings: [.define("_GNU_SOURCE")]),
    .target(name: "Errors", swiftSettings: settings),
    .target(name: "Linux", dependencies: ["CLinux", "Errors"], swiftSettings: settings),
    .target(name: "Netlink", dependencies: ["CLinux", "Errors", "Linux"], swiftSettings: settings),
    .target(name: "RuntimeSpec", dependencies: ["Errors"], swiftSettings: settings),
    .target(name: "SandboxProtocol", dependencies: ["Errors", "RuntimeSpec"], swiftSettings: settings),
    .target(
      name: "Container", dependencies: ["CLinux", "CSeccomp", "Errors", "Linux", "RuntimeSpec"],
      swiftSettings: settings),
    .executableTarget(
      name: "apus-runtime",
      dependencies: ["Container", "Linux", "RuntimeSpec", "SandboxProtocol", "Errors", "CLinux", "CStart"],
      swiftSettings: settings),
    .testTarget(name: "RuntimeSpecTests", dependencies: ["RuntimeSpec", "Errors"], swiftSettings: settings),
    .testTarget(name: "LinuxTests", dependencies: ["Linux", "Errors"], swiftSettings: settings),
    .testTarget(name: "NetlinkTests", dependencies: ["Netlink", "Linux", "Errors"], swiftSettings: settings),
    .testTarget(
      name: "SandboxProtocolTests", dependencies: ["SandboxProtocol", "RuntimeSpec", "Errors"], swiftSettings: settings),
    // Real containers need a caller with a single thread, which a test runner is not.
    .executableTarget(
      name: "ContainerProbe",
      dependencies: ["Container", "Linux", "RuntimeSpec", "SandboxProtocol", "Errors", "CLinux"],
      path: "Tests/ContainerProbe", swiftSettings: settings),
    .testTarget(
      name: "ContainerTests",
      dependencies: ["Container", "ContainerProbe", "CSeccomp", "Linux", "RuntimeSpec", "Errors"],
      swiftSettings: settings),
    .testTarget(
      name: "OCITests", dependencies: ["apus-runtime", "Linux", "RuntimeSpec", "Errors"], swiftSettings: settings),
    .testTarget(
      name: "apus-runtimeTests", dependencies: ["apus-runtime", "Linux", "SandboxProtocol"], swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.2
import PackageDescription

// The code under test is compiled here again (Sources/ links to it): coverage and the address sanitizer have to be
// built in.
let instrumented: [SwiftSetting] = [
  .unsafeFlags(["-Xcc", "-D_GNU_SOURCE", "-sanitize=fuzzer,address", "-enable-testing"])
]

let package = Package(
  name: "fuzzing",
  dependencies: [
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2")
  ],
  targets: [
    .systemLibrary(name: "CBZip2", path: "Sources/CBZip2"),
    .systemLibrary(name: "CISAL", path: "Sources/CISAL", pkgConfig: "libisal"),
    .systemLibrary(name: "CLZMA", path: "Sources/CLZMA", pkgConfig: "liblzma"),
    .systemLibrary(name: "CSeccomp", path: "Sources/CSeccomp", pkgConfig: "libseccomp"),
    .systemLibrary(name: "CZstd", path: "Sources/CZstd", pkgConfig: "libzstd"),
    .target(name: "CLinux", cSettings: [.define("_GNU_SOURCE")]),
    .target(name: "Errors", swiftSettings: instrumented),
    .target(name: "Linux", dependencies: ["CLinux", "Errors"], swiftSettings: instrumented),
    .target(name: "RuntimeSpec", dependencies: ["Errors"], swiftSettings: instrumented),
    .target(
      name: "Container", dependencies: ["CLinux", "CSeccomp", "Errors", "Linux", "RuntimeSpec"],
      swiftSettings: instrumented),
    .target(name: "ImageSpec", dependencies: ["Errors"], swiftSettings: instrumented),
    .target(name: "Netlink", dependencies: ["CLinux", "Errors", "Linux"], swiftSettings: instrumented),
    .target(name: "DNSMessages", dependencies: ["Netlink"], swiftSettings: instrumented),
    .target(
      name: "Layers",
      dependencies: [
        "CBZip2", "CISAL", "CLZMA", "CZstd", "ImageSpec", "Errors", "Linux",
        .product(name: "Crypto", package: "swift-crypto"),
      ], swiftSettings: instrumented),
    .executableTarget(
      name: "fuzz",
      dependencies: ["Container", "DNSMessages", "ImageSpec", "Layers", "Errors", "Linux", "Netlink", "RuntimeSpec"],
      swiftSettings: instrumented,
      linkerSettings: [.unsafeFlags(["-sanitize=address"]), .linkedLibrary("stdc++")]),
  ],
  swiftLanguageModes: [.v6]
)

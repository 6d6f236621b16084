// swift-tools-version: 6.2
import PackageDescription

// The code under test is compiled here again (Sources/ links to it): coverage and the address sanitizer have to be
// built in.
let instrumented: [SwiftSetting] = [
  .unsafeFlags(["-Xcc", "-D_GNU_SOURCE", "-sanitize=fuzzer,address", "-enable-testing"])
]

func runtime(_ name: String) -> Target.Dependency { .product(name: name, package: "runtime") }

let package = Package(
  name: "fuzzing",
  dependencies: [
    .package(path: "../runtime"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
  ],
  targets: [
    .systemLibrary(name: "CBZip2", path: "Sources/CBZip2"),
    .systemLibrary(name: "CISAL", path: "Sources/CISAL", pkgConfig: "libisal"),
    .systemLibrary(name: "CLZMA", path: "Sources/CLZMA", pkgConfig: "liblzma"),
    .systemLibrary(name: "CZstd", path: "Sources/CZstd", pkgConfig: "libzstd"),
    .target(name: "ImageSpec", dependencies: [runtime("Errors")], swiftSettings: instrumented),
    .target(
      name: "Layers",
      dependencies: [
        "CBZip2", "CISAL", "CLZMA", "CZstd", "ImageSpec", runtime("Errors"), runtime("Linux"),
        .product(name: "Crypto", package: "swift-crypto"),
      ], swiftSettings: instrumented),
    .executableTarget(
      name: "fuzz", dependencies: ["ImageSpec", "Layers", runtime("Errors"), runtime("Linux")],
      swiftSettings: instrumented,
      linkerSettings: [.unsafeFlags(["-sanitize=address"]), .linkedLibrary("stdc++")]),
  ],
  swiftLanguageModes: [.v6]
)

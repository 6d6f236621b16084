// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  // Glibc hides setns, unshare, statx and their kin without it; the same for every module that shares them.
  .unsafeFlags(["-Xcc", "-D_GNU_SOURCE"]),
]

func runtime(_ name: String) -> Target.Dependency { .product(name: name, package: "runtime") }

let package = Package(
  name: "apus",
  products: [
    .executable(name: "apus", targets: ["apus"]),
    .executable(name: "apusd", targets: ["apusd"]),
  ],
  dependencies: [
    .package(path: "runtime"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
  ],
  targets: [
    .systemLibrary(
      name: "CISAL", path: "Sources/CISAL", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
    .systemLibrary(
      name: "CZstd", path: "Sources/CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CBZip2", path: "Sources/CBZip2", providers: [.apt(["libbz2-dev"])]),
    .systemLibrary(
      name: "CLZMA", path: "Sources/CLZMA", pkgConfig: "liblzma", providers: [.apt(["liblzma-dev"])]),
    .target(name: "ImageSpec", dependencies: [runtime("Errors")], swiftSettings: settings),
    .target(
      name: "Layers",
      dependencies: [
        "CBZip2", "CISAL", "CLZMA", "CZstd", "ImageSpec", runtime("Errors"), runtime("Linux"),
        .product(name: "Crypto", package: "swift-crypto"),
      ], swiftSettings: settings),
    .target(
      name: "Registry",
      dependencies: [
        "ImageSpec", runtime("Errors"),
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "TOMLKit", package: "TOMLKit"),
      ], swiftSettings: settings),
    .systemLibrary(name: "CCrypt", path: "Sources/CCrypt", providers: [.apt(["libcrypt-dev"])]),
    .target(
      name: "RegistryServer",
      dependencies: [
        "CCrypt", "ImageSpec", "Layers", runtime("Errors"), runtime("Linux"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Crypto", package: "swift-crypto"),
      ], swiftSettings: settings),
    // Not "Network": libraries take a module of that name for Apple's framework.
    .target(
      name: "Networking",
      dependencies: [
        runtime("Errors"), runtime("Linux"), runtime("Netlink"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: settings),
    .target(
      name: "Engine",
      dependencies: [
        "ImageSpec", "Layers", "Networking", "Registry",
        runtime("Errors"), runtime("Linux"), runtime("Netlink"), runtime("RuntimeSpec"), runtime("SandboxProtocol"),
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Crypto", package: "swift-crypto"),
      ], resources: [.embedInCode("Specification/apus-default.apparmor")], swiftSettings: settings),
    .target(name: "DockerTypes", swiftSettings: settings),
    .target(
      name: "DockerAPI",
      dependencies: [
        "DockerTypes", "Engine", "ImageSpec", "Networking", "Registry", runtime("Errors"), runtime("Linux"),
        runtime("Netlink"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: settings),
    .executableTarget(
      name: "apusd",
      dependencies: [
        "Engine", "DockerAPI", "Layers", "RegistryServer", runtime("Errors"), runtime("Linux"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: settings),
    .executableTarget(
      name: "apus",
      dependencies: [runtime("Errors"), .product(name: "ArgumentParser", package: "swift-argument-parser")],
      swiftSettings: settings,
      // Started for every command: a dynamic loader would be a good part of its time.
      linkerSettings: [.unsafeFlags(["-static-executable"], .when(configuration: .release))]),
    .testTarget(name: "ImageSpecTests", dependencies: ["ImageSpec", runtime("Errors")], swiftSettings: settings),
    .testTarget(
      name: "LayersTests", dependencies: ["Layers", "ImageSpec", runtime("Errors"), runtime("Linux")],
      swiftSettings: settings),
    .testTarget(
      name: "NetworkingTests",
      dependencies: [
        "Networking", runtime("Errors"), runtime("Linux"), runtime("Netlink"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ], swiftSettings: settings),
    .testTarget(
      name: "RegistryTests", dependencies: ["Registry", "ImageSpec", runtime("Errors")], swiftSettings: settings),
    .testTarget(
      name: "RegistryServerTests",
      dependencies: [
        "RegistryServer", "Registry", "ImageSpec", "Layers", runtime("Errors"), runtime("Linux"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
      ], swiftSettings: settings),
    .testTarget(
      name: "EngineTests", dependencies: ["Engine", "Layers", "ImageSpec", runtime("Errors"), runtime("RuntimeSpec")],
      swiftSettings: settings),
    .testTarget(
      name: "DockerAPITests",
      dependencies: [
        "DockerAPI", "DockerTypes", "Engine", "ImageSpec", "Registry", runtime("Errors"), runtime("Linux"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
      ], swiftSettings: settings),
    .testTarget(
      name: "apusTests",
      dependencies: ["apus", "DockerTypes", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)

import ArgumentParser
import Engine
import Layers

/// How images are kept: bounds for what comes from elsewhere, and when what nobody needs goes.
struct ImageOptions: ParsableArguments {
  @Option(help: "How layers are kept: erofs files, or directories (default: erofs where the kernel can mount it).")
  var layerStore: LayerStores.Form?

  @Option(
    help: .init(
      "The registries' mirrors and exceptions, in the terms of containers-registries.conf (default: "
        + "/etc/apus/registries.conf, else /etc/containers/registries.conf).", valueName: "file"))
  var registriesConf: String?

  @Option(
    help: .init(
      "Registries' own certificates, HOST[:PORT]/ca.crt, client.cert and client.key (default: /etc/apus/certs.d, "
        + "else /etc/docker/certs.d).", valueName: "directory"))
  var certsDir: String?

  @Option(help: .init("The most a layer may take when unpacked.", valueName: "bytes"))
  var maxLayerSize: ByteCount?

  @Option(help: .init("The most that all layers of an image may take together.", valueName: "bytes"))
  var maxImageSize: ByteCount?

  @Option(help: .init("Forget what interrupted pulls left after so many hours.", valueName: "hours"))
  var collectRemainsAfter: UInt32?

  @Option(help: .init("Remove images that no container has needed for so many hours.", valueName: "hours"))
  var collectImagesAfter: UInt32?

  @Option(
    help: .init("Remove the longest unused images while those take more than this.", valueName: "bytes"))
  var collectImagesBeyond: ByteCount?

  var settings: ImageSettings {
    var settings = ImageSettings()
    settings.registriesFile = registriesConf
    settings.certificateDirectory = certsDir
    if let maxLayerSize { settings.layerLimits.totalSize = maxLayerSize.value }
    if let maxImageSize { settings.imageSize = maxImageSize.value }
    if let collectRemainsAfter { settings.collection.orphanAge = .seconds(Int64(collectRemainsAfter) * 3600) }
    if let collectImagesAfter { settings.collection.unusedImageAge = .seconds(Int64(collectImagesAfter) * 3600) }
    settings.collection.unusedImageSize = collectImagesBeyond?.value
    return settings
  }
}

extension LayerStores.Form: ExpressibleByArgument {}

/// Bytes, with an optional `k`, `m`, `g` or `t` for powers of 1,024.
struct ByteCount: ExpressibleByArgument {
  let value: Int64

  init?(argument: String) {
    let units: [Character: Int64] = ["k": 10, "m": 20, "g": 30, "t": 40]
    let shift = argument.lowercased().last.flatMap { units[$0] }
    guard let number = Int64(shift == nil ? argument : String(argument.dropLast())), number > 0,
      number <= Int64.max >> (shift ?? 0)
    else { return nil }
    value = number << (shift ?? 0)
  }
}

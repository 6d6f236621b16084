extension CreateRequest {
  /// Fills in the host configuration, and returns the member for the endpoints.
  mutating func network(_ frequent: FrequentOptions, _ options: NetworkOptions?) throws -> JSON? {
    let attachments = try NetworkAttachment.all(frequent.network, options)
    host("NetworkMode", JSON.string(attachments.first?.name ?? "default"))
    if let options { try names(options) }
    let published = try frequent.publish.flatMap { try PortArgument.published($0) }
    var seen: Set<String> = []
    // What is published is exposed by that.
    let exposed = (try (options?.expose ?? []).flatMap(PortArgument.exposed) + published.map(\.inside))
      .filter { seen.insert($0).inserted }
    if !exposed.isEmpty { config("ExposedPorts", .object(exposed.map { .init(key: $0, value: .object([])) })) }
    if !published.isEmpty { host("PortBindings", PortArgument.bindings(published)) }
    // One network that nothing is said about is the mode alone.
    guard attachments.count > 1 || attachments.contains(where: { !$0.settings.members.isEmpty }) else { return nil }
    return ["EndpointsConfig": .object(attachments.map { .init(key: $0.name, value: $0.settings) })]
  }

  private mutating func names(_ options: NetworkOptions) throws {
    config("Hostname", options.hostname)
    config("Domainname", options.domainname)
    for text in options.dns where Address(text) == nil { throw Self.failure("dns", text, "it wants an IP address") }
    host("Dns", options.dns)
    host("DnsOptions", options.dnsOption)
    host("DnsSearch", options.dnsSearch)
    host("ExtraHosts", try options.addHost.map(Self.extraHost))
    for text in options.link { try Self.checkLink(text) }
    host("Links", options.link)
    host("PublishAllPorts", options.publishAll)
  }

  /// `name:address` or `name=address`, as `name:address` without brackets.
  private static func extraHost(_ text: String) throws -> String {
    let parts = text.split(
      maxSplits: 1, omittingEmptySubsequences: false, whereSeparator: { $0 == (text.contains("=") ? "=" : ":") }
    ).map(String.init)
    guard parts.count == 2, !parts[0].isEmpty, !parts[0].contains(":") else {
      throw failure("add-host", text, "it wants name:address, such as db:10.0.0.5 or host.internal:host-gateway")
    }
    let bracketed = parts[1].hasPrefix("[") && parts[1].hasSuffix("]")
    let address = bracketed ? String(parts[1].dropFirst().dropLast()) : parts[1]
    guard address == "host-gateway" || Address(address) != nil else {
      throw failure("add-host", text, "'\(address)' is neither an IP address nor host-gateway")
    }
    return "\(parts[0]):\(address)"
  }

  static func checkLink(_ text: String) throws {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), !parts.contains("") else {
      throw failure("link", text, "it wants CONTAINER or CONTAINER:ALIAS")
    }
  }
}

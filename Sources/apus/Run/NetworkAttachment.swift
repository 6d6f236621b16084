/// A network that a container is to be in, and how: an argument of `--network`, or what `network connect` says.
struct NetworkAttachment {
  var name: String
  var aliases: [String] = []
  var links: [String] = []
  var ipv4: String?
  var ipv6: String?
  var linkLocal: [String] = []
  var mac: String?
  /// `key=value`
  var driverOptions: [String] = []
  var gatewayPriority: Int?

  init(name: String) { self.name = name }

  /// `NAME`, or `name=NAME,alias=www,ip=172.28.0.9,…`.
  init(argument text: String) throws(UsageError) {
    func mistake(_ why: String) -> UsageError { CreateRequest.failure("network", text, why) }
    guard text.contains("=") else {
      name = text
      if text.isEmpty { throw mistake("it names no network") }
      return
    }
    name = ""
    for field in FieldList.split(text) {
      let (key, value) = FieldList.pair(field)
      guard let value, !value.isEmpty else { throw mistake("the field '\(field)' is not written as key=value") }
      switch key {
      case "name": name = value
      case "alias": aliases.append(value)
      case "ip": ipv4 = value
      case "ip6": ipv6 = value
      case "mac-address": mac = value
      case "link-local-ip": linkLocal.append(value)
      case "driver-opt": driverOptions.append(value)
      case "gw-priority":
        guard let number = Int(value) else { throw mistake("'\(value)' is not a number") }
        gatewayPriority = number
      default:
        throw mistake(
          "there is no field '\(key)'; there are name, alias, ip, ip6, mac-address, link-local-ip, driver-opt and "
            + "gw-priority")
      }
    }
    if name.isEmpty { throw mistake("it names no network: name=…") }
    try check(inside: text)
  }

  /// Whether names are looked up in it: not in the networks that are there without being made.
  var isUserDefined: Bool { hasInterface && !["default", "bridge"].contains(name) }

  /// Whether the container gets an interface of its own by it.
  var hasInterface: Bool { !["host", "none"].contains(name) && !name.hasPrefix("container:") }

  /// The API's endpoint settings.
  var settings: JSON {
    var addresses: JSON = [:], settings: JSON = [:]
    if let ipv4 { addresses["IPv4Address"] = .string(ipv4) }
    if let ipv6 { addresses["IPv6Address"] = .string(ipv6) }
    if !linkLocal.isEmpty { addresses["LinkLocalIPs"] = JSON(linkLocal) }
    if !addresses.members.isEmpty { settings["IPAMConfig"] = addresses }
    if !aliases.isEmpty { settings["Aliases"] = JSON(aliases) }
    if !links.isEmpty { settings["Links"] = JSON(links) }
    if let mac { settings["MacAddress"] = .string(mac) }
    if !driverOptions.isEmpty { settings["DriverOpts"] = .object(CreateRequest.members(driverOptions)) }
    if let gatewayPriority { settings["GwPriority"] = JSON(gatewayPriority) }
    return settings
  }

  /// - Parameter argument: what the values are part of, for the message; nil where each has an option of its own.
  func check(inside argument: String? = nil) throws(UsageError) {
    func check(_ option: String, _ value: String, _ want: String, _ isRight: Bool) throws(UsageError) {
      if isRight { return }
      guard let argument else { throw CreateRequest.failure(option, value, "it wants \(want)") }
      throw CreateRequest.failure("network", argument, "\(option) wants \(want), not '\(value)'")
    }
    if let ipv4 {
      try check("ip", ipv4, "an IPv4 address such as 172.28.0.9", Address(ipv4)?.isV4 == true)
    }
    if let ipv6 {
      try check("ip6", ipv6, "an IPv6 address such as fd00::9", Address(ipv6)?.isV4 == false)
    }
    for text in linkLocal { try check("link-local-ip", text, "an IP address", Address(text) != nil) }
    if let mac { try check("mac-address", mac, "six bytes such as 02:42:ac:11:00:02", Self.isMAC(mac)) }
    for text in driverOptions {
      try check("driver-opt", text, "key=value", text.contains("=") && !text.hasPrefix("="))
    }
  }

  private static func isMAC(_ text: String) -> Bool {
    let parts = text.split(omittingEmptySubsequences: false) { $0 == ":" || $0 == "-" }
    return parts.count == 6 && parts.allSatisfy { $0.utf8.count == 2 && $0.allSatisfy(\.isHexDigit) }
  }
}

extension NetworkAttachment {
  /// The networks of a new container: what `--network` says, and for the first what the other options say.
  static func all(_ arguments: [String], _ options: NetworkOptions?) throws(UsageError) -> [NetworkAttachment] {
    var all: [NetworkAttachment] = []
    for text in arguments {
      let attachment = try NetworkAttachment(argument: text)
      guard !all.contains(where: { $0.name == attachment.name }) else {
        throw UsageError("Option --network names '\(attachment.name)' more than once.")
      }
      all.append(attachment)
    }
    if all.count > 1, let lone = all.first(where: { !$0.hasInterface }) {
      throw UsageError("Option --network \(lone.name) allows no other network beside it.")
    }
    if let options {
      var first = all.first ?? NetworkAttachment(name: "default")
      try first.take(options)
      if all.isEmpty { all = first.settings.members.isEmpty ? [] : [first] } else { all[0] = first }
    }
    for attachment in all { try attachment.checkAgainstKind() }
    return all
  }

  private mutating func take(_ options: NetworkOptions) throws(UsageError) {
    func once(_ option: String, _ field: String, _ isSaid: Bool, _ isGiven: Bool) throws(UsageError) {
      guard isSaid, isGiven else { return }
      throw UsageError("Option --\(option) and '\(field)=' of --network say the same; give one of them.")
    }
    try once("network-alias", "alias", !aliases.isEmpty, !options.networkAlias.isEmpty)
    try once("ip", "ip", ipv4 != nil, options.ip != nil)
    try once("ip6", "ip6", ipv6 != nil, options.ip6 != nil)
    try once("mac-address", "mac-address", mac != nil, options.macAddress != nil)
    try once("link-local-ip", "link-local-ip", !linkLocal.isEmpty, !options.linkLocalIp.isEmpty)
    aliases += options.networkAlias
    ipv4 = options.ip ?? ipv4
    ipv6 = options.ip6 ?? ipv6
    mac = options.macAddress ?? mac
    linkLocal += options.linkLocalIp
    // On the default bridge a link is the container's, not the endpoint's.
    if isUserDefined { links = options.link }
    if let rate = options.networkRate { driverOptions += try NetworkRate.driverOptions(rate) }
    try check()
  }

  private func checkAgainstKind() throws(UsageError) {
    if !hasInterface, !settings.members.isEmpty {
      throw UsageError(
        "The network '\(name)' gives the container no interface of its own: leave out its addresses, aliases, options and "
          + "rates.")
    }
    if !isUserDefined, !aliases.isEmpty {
      throw UsageError(
        "Names are looked up in networks made with 'apus network create', not in '\(name)': leave out the alias, or name "
          + "such a network with --network.")
    }
  }
}

import ArgumentParser

/// How a network gets its addresses: options of `network create`.
struct AddressOptions: ParsableArguments {
  @Option(help: .init("Subnet, one of each family; otherwise a free one is taken.", valueName: "address/length"))
  var subnet: [String] = []
  @Option(help: .init("Gateway in one of the subnets.", valueName: "address"))
  var gateway: [String] = []
  @Option(help: .init("Give addresses from this part of a subnet only.", valueName: "address/length"))
  var ipRange: [String] = []
  @Option(help: .init("Give nobody this address, which something else has.", valueName: "name=address"))
  var auxAddress: [String] = []
  @Option(help: .init("What gives addresses.", valueName: "driver"))
  var ipamDriver: String?
  @Option(help: .init("Option of what gives addresses.", valueName: "key=value"))
  var ipamOpt: [String] = []

  private struct Pool {
    let text: String
    let block: AddressBlock
    var gateway: String?
    var range: String?
    var auxiliary: [JSON.Member] = []

    var body: JSON {
      var body: JSON = ["Subnet": .string(text)]
      if let range { body["IPRange"] = .string(range) }
      if let gateway { body["Gateway"] = .string(gateway) }
      if !auxiliary.isEmpty { body["AuxiliaryAddresses"] = .object(auxiliary) }
      return body
    }
  }

  /// The API's `IPAM`: each gateway, range and auxiliary address with the subnet that it lies in. Nil for none of it.
  func body() throws(UsageError) -> JSON? {
    var pools = try pools()
    for text in gateway.flatMap(FieldList.split) {
      guard let address = Address(text) else {
        throw CreateRequest.failure("gateway", text, "it wants an IP address such as 10.9.0.1")
      }
      let position = try position(of: "gateway", text, pools) { $0.contains(address) }
      if let other = pools[position].gateway { throw twice("gateway", text, other, pools[position]) }
      pools[position].gateway = text
    }
    for text in ipRange.flatMap(FieldList.split) {
      guard let range = AddressBlock(text) else {
        throw CreateRequest.failure("ip-range", text, "it wants a part of the subnet such as 10.9.0.128/25")
      }
      let position = try position(of: "ip-range", text, pools) { $0.contains(range) }
      if let other = pools[position].range { throw twice("ip-range", text, other, pools[position]) }
      pools[position].range = text
    }
    for member in CreateRequest.members(auxAddress) {
      let text = member.value.string ?? ""
      guard let address = Address(text), !member.key.isEmpty else {
        throw CreateRequest.failure(
          "aux-address", "\(member.key)=\(text)", "it wants name=address, such as router=10.9.0.2")
      }
      pools[try position(of: "aux-address", text, pools) { $0.contains(address) }].auxiliary.append(member)
    }
    var body: JSON = [:]
    if ipamDriver != nil || !pools.isEmpty || !ipamOpt.isEmpty { body["Driver"] = .string(ipamDriver ?? "default") }
    if !pools.isEmpty { body["Config"] = .array(pools.map(\.body)) }
    if !ipamOpt.isEmpty { body["Options"] = .object(CreateRequest.members(ipamOpt)) }
    return body.members.isEmpty ? nil : body
  }

  private func pools() throws(UsageError) -> [Pool] {
    var pools: [Pool] = []
    for text in subnet.flatMap(FieldList.split) {
      guard let block = AddressBlock(text) else {
        throw CreateRequest.failure("subnet", text, "it wants address/length, such as 10.9.0.0/24 or fd00:9::/64")
      }
      if let other = pools.first(where: { $0.block.overlaps(block) }) {
        throw CreateRequest.failure("subnet", text, "it overlaps \(other.text)")
      }
      pools.append(Pool(text: text, block: block))
    }
    return pools
  }

  private func position(
    of option: String, _ text: String, _ pools: [Pool], where isRight: (AddressBlock) -> Bool
  ) throws(UsageError) -> Int {
    if let position = pools.firstIndex(where: { isRight($0.block) }) { return position }
    throw CreateRequest.failure(
      option, text,
      pools.isEmpty
        ? "it needs the subnet that it lies in: --subnet"
        : "it lies in no --subnet, which are \(pools.map(\.text).joined(separator: ", "))")
  }

  private func twice(_ option: String, _ text: String, _ other: String, _ pool: Pool) -> UsageError {
    CreateRequest.failure(option, text, "the subnet \(pool.text) has \(other) already")
  }
}

import Glibc

/// Which interface a request is about.
public enum LinkReference: Sendable, CustomStringConvertible {
  case index(Int32)
  case name(String)

  public var description: String {
    switch self {
    case .index(let index): "interface \(index)"
    case .name(let name): name
    }
  }
}

/// What a request changes of an interface; what is nil stays.
public struct LinkChange: Sendable {
  public var name: String?
  public var mac: MACAddress?
  public var mtu: Int?
  /// Up or down.
  public var isUp: Bool?
  /// Index of the bridge it becomes a port of; 0: of none.
  public var master: Int32?
  /// Free text (ifalias).
  public var alias: String?
  /// false: the kernel gives it no IPv6 address by itself (addr_gen_mode none).
  public var generatesAddresses: Bool?
  /// Of a bridge's port: whether it reaches only ports that are not isolated.
  public var isIsolated: Bool?
  /// Of a bridge's port: whether frames may go back out of it (hairpin mode).
  public var reflects: Bool?

  public init(
    name: String? = nil, mac: MACAddress? = nil, mtu: Int? = nil, isUp: Bool? = nil, master: Int32? = nil,
    alias: String? = nil, generatesAddresses: Bool? = nil, isIsolated: Bool? = nil,
    reflects: Bool? = nil
  ) {
    self.name = name
    self.mac = mac
    self.mtu = mtu
    self.isUp = isUp
    self.master = master
    self.alias = alias
    self.generatesAddresses = generatesAddresses
    self.isIsolated = isIsolated
    self.reflects = reflects
  }

  /// The attributes that are the same for a new and an existing interface.
  fileprivate func write(to message: inout NetlinkMessage) {
    if let mac { message.attribute(LinkAttribute.address, bytes: mac.bytes) }
    if let mtu { message.attribute(LinkAttribute.mtu, UInt32(clamping: mtu)) }
    if let master { message.attribute(LinkAttribute.master, master) }
  }
}

/// One end of a pair of virtual Ethernet interfaces.
public struct VirtualEthernetEnd: Sendable {
  public var name: String
  public var mac: MACAddress?

  public init(name: String, mac: MACAddress? = nil) {
    self.name = name
    self.mac = mac
  }
}

/// How interfaces on one parent reach each other (ip-link(8)).
public enum MacvlanMode: String, Sendable, CaseIterable {
  case `private`, vepa, bridge, passthru

  /// MACVLAN_MODE_*.
  var number: UInt32 {
    switch self {
    case .private: 1
    case .vepa: 2
    case .bridge: 4
    case .passthru: 8
    }
  }
}

extension NetlinkRequest {
  /// Makes a bridge, down and without addresses. Multicast goes to every port (no snooping): what instances need of it,
  /// neighbour discovery above all, must not depend on a querier.
  public static func makeBridge(_ name: String, mac: MACAddress?, mtu: Int?) -> NetlinkRequest {
    var message = NetlinkMessage(RouteMessage.newLink, [.create, .exclusive])
    message.appendLinkHeader()
    message.attribute(LinkAttribute.name, text: name)
    LinkChange(mac: mac, mtu: mtu).write(to: &message)
    message.nest(LinkAttribute.information) {
      $0.attribute(LinkAttribute.kind, text: "bridge")
      $0.nest(LinkAttribute.data) { $0.attribute(LinkAttribute.bridgeSnooping, 0 as UInt8) }
    }
    return NetlinkRequest(message, stage: "cannot make the bridge \(name)")
  }

  /// Makes a pair of virtual Ethernet interfaces, both down: `outside` here, as a port of `master`; `inside` directly in
  /// the namespace of a descriptor, where nothing needs to be moved then.
  ///
  /// Each has one queue either way, which is what they would use anyhow: the kernel otherwise makes one for every
  /// processor, shows them all in sysfs, and then takes all but the first away again.
  ///
  /// The descriptor must live until the request has been performed.
  public static func makePair(
    _ outside: VirtualEthernetEnd, _ inside: VirtualEthernetEnd, in namespace: Int32, mtu: Int?, master: Int32?
  ) -> NetlinkRequest {
    var message = NetlinkMessage(RouteMessage.newLink, [.create, .exclusive])
    message.appendLinkHeader()
    message.attribute(LinkAttribute.name, text: outside.name)
    LinkChange(mac: outside.mac, mtu: mtu, master: master).write(to: &message)
    message.appendSingleQueue()
    message.nest(LinkAttribute.information) {
      $0.attribute(LinkAttribute.kind, text: "veth")
      $0.nest(LinkAttribute.data) {
        $0.nest(LinkAttribute.peer) {
          $0.appendLinkHeader()
          $0.attribute(LinkAttribute.name, text: inside.name)
          LinkChange(mac: inside.mac, mtu: mtu).write(to: &$0)
          $0.appendSingleQueue()
          $0.attribute(LinkAttribute.namespace, namespace)
        }
      }
    }
    return NetlinkRequest(message, stage: "cannot make the interfaces \(outside.name) and \(inside.name)")
  }

  /// Makes an interface on `parent` with an Ethernet address of its own, down, directly in the namespace of a descriptor.
  ///
  /// The kernel looks for an existing interface of the name in the namespace of the socket: one that is taken there
  /// cannot be given here.
  public static func makeMacvlan(
    _ end: VirtualEthernetEnd, on parent: Int32, mode: MacvlanMode, in namespace: Int32, mtu: Int?
  ) -> NetlinkRequest {
    var message = NetlinkMessage(RouteMessage.newLink, [.create, .exclusive])
    message.appendLinkHeader()
    message.attribute(LinkAttribute.name, text: end.name)
    message.attribute(LinkAttribute.link, parent)
    LinkChange(mac: end.mac, mtu: mtu).write(to: &message)
    message.attribute(LinkAttribute.namespace, namespace)
    message.nest(LinkAttribute.information) {
      $0.attribute(LinkAttribute.kind, text: "macvlan")
      $0.nest(LinkAttribute.data) { $0.attribute(LinkAttribute.macvlanMode, mode.number) }
    }
    return NetlinkRequest(message, stage: "cannot make the interface \(end.name)")
  }

  /// Changes an existing interface. To rename one, refer to it by its index.
  public static func change(_ link: LinkReference, _ change: LinkChange) -> NetlinkRequest {
    // RTM_NEWLINK without NLM_F_CREATE: unlike RTM_SETLINK it knows about bridge ports.
    var message = NetlinkMessage(RouteMessage.newLink)
    switch link {
    case .index(let index):
      message.appendLinkHeader(index: index, isUp: change.isUp)
      if let name = change.name { message.attribute(LinkAttribute.name, text: name) }
    case .name(let name):
      message.appendLinkHeader(isUp: change.isUp)
      message.attribute(LinkAttribute.name, text: name)
    }
    change.write(to: &message)
    if let alias = change.alias { message.attribute(LinkAttribute.alias, text: alias) }
    if let generates = change.generatesAddresses {
      message.nest(LinkAttribute.families) {
        $0.nest(UInt16(AF_INET6)) { $0.attribute(LinkAttribute.generatedAddresses, UInt8(generates ? 0 : 1)) }
      }
    }
    if change.isIsolated != nil || change.reflects != nil {
      message.nest(LinkAttribute.information) {
        $0.attribute(LinkAttribute.portKind, text: "bridge")
        $0.nest(LinkAttribute.portData) {
          if let isIsolated = change.isIsolated { $0.attribute(LinkAttribute.portIsolated, UInt8(isIsolated ? 1 : 0)) }
          if let reflects = change.reflects { $0.attribute(LinkAttribute.portReflects, UInt8(reflects ? 1 : 0)) }
        }
      }
    }
    return NetlinkRequest(message, stage: "cannot set up \(link)")
  }

  /// Deletes an interface, and with one of a pair the other. One that is gone already is fine.
  public static func delete(_ link: LinkReference) -> NetlinkRequest {
    var message = NetlinkMessage(RouteMessage.deleteLink)
    switch link {
    case .index(let index): message.appendLinkHeader(index: index)
    case .name(let name):
      message.appendLinkHeader()
      message.attribute(LinkAttribute.name, text: name)
    }
    return NetlinkRequest(message, stage: "cannot delete \(link)", tolerating: [ENODEV])
  }
}

extension NetlinkMessage {
  fileprivate mutating func appendSingleQueue() {
    attribute(LinkAttribute.sendQueues, 1 as UInt32)
    attribute(LinkAttribute.receiveQueues, 1 as UInt32)
  }
}

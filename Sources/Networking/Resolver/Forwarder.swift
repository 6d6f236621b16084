import Linux
import Netlink

/// Asks other servers: once for everybody who asks the same at the same time, and not again while the reply holds.
final class Forwarder {
  /// Queries under way, each with a socket.
  static let mostFlights = 512
  /// Clients that wait, over all instances.
  static let mostWaiting = 2048
  /// More servers than this are not asked (glibc takes 3).
  private static let mostServers = 6
  /// How long a server that did not answer is asked after the others.
  private static let distrust: Milliseconds = 15_000

  let port: UInt16
  private let upstreams: @Sendable () -> [IPAddress]
  private var flights: [ForwardedQuery: Flight] = [:]
  private var waiting = 0
  private var silent: [IPAddress: Milliseconds] = [:]
  private(set) var cache = ReplyCache()

  init(upstreams: @escaping @Sendable () -> [IPAddress], port: UInt16) {
    self.upstreams = upstreams
    self.port = port
  }

  func close() {
    for flight in flights.values { flight.abandon() }
    flights = [:]
  }

  func forward(_ query: DNSQuery, from asker: Asker, on loop: ResolverLoop) {
    let own = asker.instance.upstreams
    let forwarded = ForwardedQuery(query, servers: Array((own.isEmpty ? upstreams() : own).prefix(Self.mostServers)))
    if let (reply, age) = cache.reply(to: forwarded, at: loop.now) {
      return asker.send(reply.encoded(for: query, age: age, limit: asker.limit(query)))
    }
    let known = flights[forwarded]
    guard !forwarded.servers.isEmpty, asker.instance.waiting < ServedInstance.mostWaiting, waiting < Self.mostWaiting,
      known != nil || flights.count < Self.mostFlights
    else { return asker.send(DNSAnswer(.serverFailure).encoded(for: query)) }
    asker.beginWaiting()
    waiting += 1
    if let known { return known.waiters.append((query, asker)) }
    let flight = Flight(forwarded, order: order(forwarded.servers, at: loop.now), for: self, on: loop)
    flight.waiters.append((query, asker))
    flights[forwarded] = flight
    flight.start()
  }

  /// Those that have not answered lately come last. A single one is asked twice: datagrams get lost.
  private func order(_ servers: [IPAddress], at now: Milliseconds) -> [IPAddress] {
    if servers.count == 1 { return servers + servers }
    let isSilent = { [silent] server in silent[server].map { now < $0 } ?? false }
    return servers.filter { !isSilent($0) } + servers.filter(isSilent)
  }

  func isSilent(_ server: IPAddress, at now: Milliseconds) {
    if silent.count >= 64 { silent = silent.filter { now < $0.value } }
    if silent.count < 64 { silent[server] = now + Self.distrust }
  }

  func isAnswering(_ server: IPAddress) { if !silent.isEmpty { silent[server] = nil } }

  /// Tells everybody who waits, and keeps the reply; nil: there is none.
  func finish(_ flight: Flight, _ reply: DNSReply?, code: DNSCode, at now: Milliseconds) {
    flights[flight.query] = nil
    if let reply { cache.store(reply, to: flight.query, at: now) }
    for (query, asker) in flight.waiters {
      let limit = asker.limit(query)
      asker.send(reply?.encoded(for: query, age: 0, limit: limit) ?? DNSAnswer(code).encoded(for: query))
      waiting -= 1
      asker.endWaiting()
    }
    flight.waiters = []
  }
}

import Netlink

@testable import DNSMessages

/// Messages to the name server, or replies that it gets. The first byte says which, the second how much room an answer
/// has. What is answered or passed on must be a sound message, for this query and no longer than that.
func fuzzDNS(_ input: UnsafeRawBufferPointer) -> Int32 {
  guard input.count > 2 else { return -1 }
  let message = Array(input.dropFirst(2))
  if input[0] & 1 == 0 { fuzzQuery(message, addresses: Int(input[1])) } else { fuzzReply(message, room: Int(input[1])) }
  return 0
}

private func fuzzQuery(_ message: [UInt8], addresses: Int) {
  switch DNSQuery.read(message) {
  case .ignored: break
  case .answered(let answer):
    precondition(answer.count <= 512 && answer.prefix(2) == message.prefix(2) && answer[2] & 0x80 != 0)
  case .query(let query):
    check(query.question.name)
    let records = (0..<addresses).map { DNSAnswer.Data.address(IPAddress(v6: UInt128($0))) }
    let answer = DNSAnswer(.noError, records).encoded(for: query, limit: query.datagramLimit)
    precondition(answer.count <= query.datagramLimit)
    let understood = DNSReply(answer, id: query.id, question: query.question)
    precondition(understood?.bytes == answer)
    precondition(understood?.encoded(for: query, age: 0, limit: 65535) == answer)
  }
}

private func check(_ name: DNSName) {
  precondition(name.wire.count <= DNSName.longest)
  var offset = DNSHeader.size
  let copy = DNSName(in: [UInt8](repeating: 0, count: DNSHeader.size) + name.wire, at: &offset)
  precondition(copy == name && offset == DNSHeader.size + name.wire.count)
  if let text = name.text {
    precondition(DNSName(text) == name.lowercased)
    _ = ReverseName.address(text)
  }
}

private func fuzzReply(_ message: [UInt8], room: Int) {
  var message = message
  guard message.count > DNSHeader.size else { return }
  // What no reply is without: mutations would hardly keep it.
  message[2] = message[2] & 0x07 | 0x80
  (message[4], message[5]) = (0, 1)
  var offset = DNSHeader.size
  guard let question = DNSQuestion(in: message, at: &offset) else { return }
  let id = message.number16(at: 0)
  guard let reply = DNSReply(message, id: id, question: question.folded) else { return }
  precondition(message.starts(with: reply.bytes) && reply.lifetime <= DNSReply.longestLife)
  for extensions in [nil, DNSExtensions()] {
    let query = DNSQuery(id: id ^ 1, flags: .recursionDesired, question: question, extensions: extensions)
    let limit = 512 + room * 8
    let copy = reply.encoded(for: query, age: UInt32(room), limit: limit)
    precondition(copy.count <= limit)
    guard let again = DNSReply(copy, id: id ^ 1, question: question) else {
      preconditionFailure("a reply that is passed on is none any more")
    }
    precondition(again.bytes == copy && again.lifetime <= reply.lifetime)
    precondition(again.isTruncated || again.bytes.count == reply.bytes.count)
  }
}

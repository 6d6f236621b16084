import Errors
import Glibc
import Linux
import Testing

@testable import DockerAPI

struct ListeningSocketTests {
  private let path = "/tmp/apus-api-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"

  @Test func aLeftoverMakesWayAndALivingOneDoesNot() throws {
    defer { unlink(path) }
    do {
      let first = try ListeningSocket.open(at: path, group: nil)
      var status = stat()
      #expect(stat(path, &status) == 0)
      #expect(status.st_mode & 0o777 == 0o660)
      do throws(ApusError) {
        let second = try ListeningSocket.open(at: path, group: nil)
        Issue.record("two daemons listen: \(second.raw)")
      } catch {
        #expect(error.code == .conflict)
      }
      _ = consume first
    }
    // Nobody answers there now.
    let third = try ListeningSocket.open(at: path, group: nil)
    #expect(third.raw >= 0)
    let identity = ListeningSocket.identity(of: path)
    ListeningSocket.remove(path, identity: identity.map { $0 + 1 })
    #expect(ListeningSocket.identity(of: path) == identity)
    ListeningSocket.remove(path, identity: identity)
    #expect(ListeningSocket.identity(of: path) == nil)
  }

  @Test func groupsGoByNameAndNumber() throws {
    #expect(try ListeningSocket.identifier(of: "0") == 0)
    #expect(try ListeningSocket.identifier(of: "root") == 0)
    #expect(ListeningSocket.existing("no such group") == nil)
    #expect(throws: ApusError.self) { try ListeningSocket.identifier(of: "no such group") }
  }
}

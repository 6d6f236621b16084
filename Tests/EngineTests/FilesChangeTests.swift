import Testing

@testable import Engine

@Suite struct FilesChangeTests {
  private func own(_ changes: [(String, ChangeKind)]) -> [String] {
    ChangeList.own(of: changes.map { FileChange(path: $0.0, kind: $0.1) }).map(\.path)
  }

  @Test func placesForMountsAreNobodysDoing() {
    #expect(own([("/dev", .added), ("/etc", .modified), ("/etc/hosts", .added), ("/proc", .added)]) == [])
    #expect(
      own([("/etc", .modified), ("/etc/hosts", .added), ("/etc/motd", .added)]) == ["/etc", "/etc/motd"])
    #expect(own([("/etc", .modified), ("/etc/hosts", .modified)]) == ["/etc", "/etc/hosts"])
    #expect(own([("/a", .added), ("/b", .deleted)]) == ["/a", "/b"])
  }
}

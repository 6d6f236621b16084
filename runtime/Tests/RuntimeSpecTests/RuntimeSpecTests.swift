import Errors
import Testing

@testable import RuntimeSpec

/// Reads a specification and returns the sentence it is refused with.
private func refusal(_ text: String) -> String? {
  do throws(ApusError) {
    _ = try Spec(json: Array(text.utf8), subject: "The specification")
    return nil
  } catch {
    #expect(error.code == .invalidArgument)
    return error.message
  }
}

@Suite struct SpecificationTests {
  @Test func readsWhatOthersWrite() throws {
    let text = """
      { "ociVersion": "1.0.2-dev", "unknown": {"a": [1, -2.5e3, null, true, "x\\u00e9"]},
        "process": {"terminal": true, "consoleSize": {"height": 24, "width": 80},
          "user": {"uid": 1000, "gid": 4294967295, "umask": 18, "additionalGids": [5, 6]},
          "args": ["sh", "-c", "echo \\"\\u4e2d\\ud83d\\ude00\\n\\""], "env": ["A=b"], "cwd": "/",
          "capabilities": {"bounding": ["CAP_KILL"], "effective": null},
          "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 18446744073709551615, "soft": 0}],
          "oomScoreAdj": -17, "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4}},
        "root": {"path": "rootfs", "readonly": true}, "annotations": {"k": "v"},
        "linux": {"namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}],
          "resources": {"devices": [{"allow": false, "access": "rwm"}], "memory": {"limit": -1},
            "cpu": {"shares": 1024, "quota": -1}, "pids": {"limit": 10},
            "blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 500}]}},
          "timeOffsets": {"boottime": {"secs": -5, "nanosecs": 7}},
          "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
            "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
              "args": [{"index": 0, "value": 2080505856, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}]}]}}}
      """
    let spec = try Spec(json: Array(text.utf8))
    let process = try #require(spec.process)
    #expect(process.user.gid == .max && process.user.umask == 18 && process.user.additionalGids == [5, 6])
    #expect(process.args[2] == "echo \"中😀\n\"")
    #expect(process.rlimits == [POSIXRlimit(type: "RLIMIT_NOFILE", hard: .max, soft: 0)])
    #expect(process.oomScoreAdj == -17 && process.ioPriority?.class == "IOPRIO_CLASS_BE")
    #expect(process.capabilities == LinuxCapabilities(bounding: ["CAP_KILL"]))
    let linux = try #require(spec.linux)
    #expect(linux.namespaces[1].path == "/proc/1/ns/net" && linux.resources?.memory?.limit == -1)
    #expect(linux.resources?.blockIO?.weightDevice.first?.weight == 500)
    #expect(linux.timeOffsets["boottime"] == LinuxTimeOffset(secs: -5, nanosecs: 7))
    #expect(linux.seccomp?.syscalls.first?.args.first?.value == 2_080_505_856)

    let again = try Spec(json: spec.json())
    #expect(again == spec)
    #expect(again.json() == spec.json())
  }

  @Test func writesOnlyWhatIsSet() {
    let spec = Spec(root: Root(path: "/r"), hostname: "a\u{1}\"\\")
    #expect(
      String(decoding: spec.json(), as: UTF8.self)
        == #"{"ociVersion":"1.2.0","root":{"path":"/r"},"hostname":"a\u0001\"\\"}"#)
    let limits = LinuxMemory(limit: .min, swap: 0, swappiness: .max)
    #expect(
      String(decoding: limits.json(), as: UTF8.self)
        == #"{"limit":-9223372036854775808,"swap":0,"swappiness":18446744073709551615}"#)
  }

  @Test(arguments: [
    (#"{"process":{"user":{"uid":-1}}}"#, "process.user.uid: must be an integer from 0 to 4294967295"),
    (#"{"process":{"user":{"uid":4294967296}}}"#, "process.user.uid: must be an integer"),
    (#"{"process":{"user":{"uid":1.0}}}"#, "process.user.uid: must be an integer"),
    (#"{"process":{"user":{"uid":1e3}}}"#, "process.user.uid: must be an integer"),
    (#"{"process":{"user":{"uid":"0"}}}"#, "process.user.uid: must be an integer"),
    (#"{"process":{"args":["a",7]}}"#, "process.args[1]: must be a string"),
    (#"{"process":{"rlimits":[{},{"soft":[]}]}}"#, "process.rlimits[1].soft: must be an integer"),
    (#"{"linux":{"sysctl":{"net.x":1}}}"#, "linux.sysctl.net.x: must be a string"),
    (#"{"process":{"cwd":"/a\u0000b"}}"#, "process.cwd: must not contain a NUL character"),
    (#"{"process":[]}"#, "process: must be an object"),
    (#"{"root":{"readonly":1}}"#, "root.readonly: must be true or false"),
    (#"{"mounts":{}}"#, "mounts: must be an array"),
    (#"[]"#, "The specification is not valid: must be an object"),
  ])
  func namesTheField(_ text: String, _ part: String) {
    #expect(refusal(text)?.contains(part) == true, "\(refusal(text) ?? "accepted")")
  }

  @Test(arguments: [
    "", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":1", "{\"a\":1,}", "{,}", "{\"a\" 1}", "{\"a\":01}",
    "{\"a\":-}",
    "{\"a\":1.}", "{\"a\":1e}", "{\"a\":+1}", "{\"a\":nul}", "{\"a\":\"\\x\"}", "{\"process\":{\"cwd\":\"\\x\"}}",
    "{\"process\":{\"cwd\":\"\\u12\"}}", "{\"a\":\"", "{\"a\":\"\\", "{\"a\":\"\n\"}", "{\"a\":\"\u{0}\"}", "{} {}",
    "{}x",
    "{\"a\":[1 2]}", "{\"a\":[1,]}", "{a:1}", "{\"a\":'b'}", "\u{FEFF}{}",
  ])
  func refusesWhatIsNotJSON(_ text: String) {
    #expect(refusal(text) != nil)
  }

  @Test func boundsDepthAndCount() {
    let deep = "{\"x\":" + String(repeating: "[", count: 100_000)
    #expect(refusal(deep)?.contains("deeper than 64") == true)
    #expect(refusal("{\"x\":" + String(repeating: "[", count: 63) + String(repeating: "]", count: 63) + "}") == nil)
    let wide = "{\"process\":{\"args\":[" + String(repeating: "\"\",", count: 65_536) + "\"\"]}}"
    #expect(refusal(wide)?.contains("process.args: has too many elements") == true)
  }

  @Test func replacesWhatIsNotUnicode() throws {
    let lone = try Spec(json: Array(#"{"hostname":"a\ud800b\udc00"}"#.utf8))
    #expect(lone.hostname == "a\u{FFFD}b\u{FFFD}")
    let raw = try Spec(json: Array(#"{"hostname":""#.utf8) + [0x61, 0xff] + Array("\"}".utf8))
    #expect(raw.hostname == "a\u{FFFD}")
  }

  @Test func survivesTruncationEverywhere() throws {
    let whole = Spec(
      process: ProcessSpec(args: ["é\n"], capabilities: LinuxCapabilities(bounding: ["CAP_KILL"])),
      mounts: [MountSpec(destination: "/x", options: ["ro"])],
      linux: LinuxSection(sysctl: ["a": "b"], resources: LinuxResources(pids: LinuxPids(limit: -5)))
    ).json()
    for length in 0..<whole.count {
      #expect(throws: ApusError.self) { try Spec(json: Array(whole.prefix(length))) }
    }
  }

  @Test func keepsHostileNamesOutOfMessages() throws {
    let name = String(repeating: "n", count: 100_000)
    let message = try #require(refusal("{\"annotations\":{\"\(name)\":1}}"))
    #expect(message.utf8.count < 300)
  }
}

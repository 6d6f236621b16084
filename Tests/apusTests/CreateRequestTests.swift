import ArgumentParser
import DockerTypes
import FoundationEssentials
import Testing

@testable import apus

@Suite("The request of run and create") struct CreateRequestTests {
  private func body(_ words: String..., environment: [String: String] = [:]) throws -> JSON {
    let syntax = DockerSyntax(["run"] + words + ["img", "cmd", "-x"], root: Apus.self)
    let run = try #require(try syntax.command.parseAsRoot(syntax.words) as? RunCommand)
    return try CreateRequest.body(
      run.options.frequent, run.options.rare, image: run.words[0], command: Array(run.words.dropFirst()),
      detached: run.detach,
      environment: { environment[$0] })
  }

  @Test("names the image, the command and what is attached")
  func basics() throws {
    let body = try body("-i")
    #expect(body["Image"] == "img")
    #expect(body["Cmd"] == ["cmd", "-x"])
    #expect(body["OpenStdin"] == true)
    #expect(body["StdinOnce"] == true)
    #expect(body["AttachStdout"] == true)
    #expect(body["HostConfig"]["NetworkMode"] == "default")
    #expect(try self.body("-d")["AttachStdout"] == false)
  }

  @Test("an environment variable without a value comes from here")
  func environment() throws {
    let body = try body("-e", "A=1", "-e", "HERE", "-e", "MISSING", environment: ["HERE": "x"])
    #expect(body["Env"] == ["A=1", "HERE=x"])
  }

  @Test("limits")
  func limits() throws {
    let host = try body(
      "--memory", "512m", "--memory-swap", "-1", "--cpus", "1.5", "--pids-limit", "64", "--ulimit", "nofile=10:20",
      "--shm-size", "64k", "--device-read-bps", "/dev/sda:1mb")["HostConfig"]
    #expect(host["Memory"] == 536_870_912)
    #expect(host["MemorySwap"] == -1)
    #expect(host["NanoCpus"] == 1_500_000_000)
    #expect(host["PidsLimit"] == 64)
    #expect(host["Ulimits"] == [["Name": "nofile", "Soft": 10, "Hard": 20]])
    #expect(host["ShmSize"] == 65536)
    #expect(host["BlkioDeviceReadBps"] == [["Path": "/dev/sda", "Rate": 1_048_576]])
  }

  @Test("volumes, mounts and tmpfs")
  func mounts() throws {
    let body = try body(
      "-v", "/host:/in:ro", "-v", "/anonymous", "-v", "named:/data", "--mount",
      "type=bind,source=/a,target=/b,readonly,bind-propagation=rslave", "--tmpfs", "/run:size=1m", "--mount",
      "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777")
    let host = body["HostConfig"]
    #expect(host["Binds"] == ["/host:/in:ro", "named:/data"])
    #expect(body["Volumes"]["/anonymous"] == .object([]))
    #expect(host["Mounts"].elements[0]["ReadOnly"] == true)
    #expect(host["Mounts"].elements[0]["BindOptions"]["Propagation"] == "rslave")
    #expect(host["Mounts"].elements[1]["TmpfsOptions"] == ["SizeBytes": 1_048_576, "Mode": 1023])
    #expect(host["Tmpfs"]["/run"] == "size=1m")
  }

  @Test("health, restart, security, log")
  func others() throws {
    let body = try body(
      "--health-cmd", "true", "--health-interval", "1m30s", "--health-retries", "2", "--restart", "on-failure:3",
      "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--security-opt", "no-new-privileges", "--read-only", "--init",
      "--log-opt", "max-size=1m", "--label", "a=b", "--add-host", "x:1.2.3.4", "--device", "/dev/null:/dev/n:r")
    #expect(body["Healthcheck"] == ["Test": ["CMD-SHELL", "true"], "Interval": 90_000_000_000, "Retries": 2])
    let host = body["HostConfig"]
    #expect(host["RestartPolicy"] == ["Name": "on-failure", "MaximumRetryCount": 3])
    #expect(host["CapDrop"] == ["ALL"])
    #expect(host["SecurityOpt"] == ["no-new-privileges"])
    #expect(host["ReadonlyRootfs"] == true)
    #expect(host["Init"] == true)
    #expect(host["LogConfig"]["Config"]["max-size"] == "1m")
    #expect(body["Labels"]["a"] == "b")
    #expect(
      host["Devices"] == [["PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"]])
  }

  @Test(
    "what cannot be meant is refused here",
    arguments: [
      ["--memory", "lots"], ["--cpus", "x"], ["--ulimit", "nofile"], ["--mount", "type=bind"], ["-v", ":/x"],
      ["-p", "99999:1"], ["-e", "=x"], ["--health-interval", "10"], ["--restart", "on-failure:x"], ["-a", "stdfoo"],
    ])
  func refused(words: [String]) throws {
    let syntax = DockerSyntax(["run"] + words + ["img"], root: Apus.self)
    let run = try #require(try syntax.command.parseAsRoot(syntax.words) as? RunCommand)
    #expect(throws: UsageError.self) {
      try CreateRequest.body(run.options.frequent, run.options.rare, image: "img", command: [], detached: false)
    }
  }

  @Test(
    "frequent options alone mean the same when nothing else is read",
    arguments: [
      [], ["-it", "--rm"], ["-d", "--name", "n", "-p", "80:8080/udp"], ["-v", "a:/b:ro", "-v", "/c"],
      ["--network", "none", "-e", "A=1", "-w", "/x", "-u", "1:2"],
      ["--network", "name=a,alias=b", "--net", "c", "-p", "target=80,published=8080"],
    ])
  func frequent(words: [String]) throws {
    let syntax = DockerSyntax(["run"] + words + ["img", "cmd", "--rm"], root: Apus.self)
    let run = try #require(try syntax.command.parseAsRoot(syntax.words) as? RunCommand)
    let quick = try #require(try FrequentRunCommand.parseAsRoot(syntax.words) as? FrequentRunCommand)
    #expect(quick.words == run.words && quick.detach == run.detach)
    let bodies = try [run.options.rare, nil].map {
      try CreateRequest.body(
        $0 == nil ? quick.frequent : run.options.frequent, $0, image: "img", command: ["cmd"], detached: run.detach)
    }
    #expect(bodies[0].text() == bodies[1].text())
  }

  @Test(
    "anything else is not read as frequent",
    arguments: [["--memory", "1g"], ["-h", "name"], ["--help"], ["-l", "a=b"], ["--no-sig-proxy"], ["--nosuch"]])
  func rare(words: [String]) {
    let syntax = DockerSyntax(["run"] + words + ["img"], root: Apus.self)
    #expect((try? FrequentRunCommand.parseAsRoot(syntax.words)) as? FrequentRunCommand == nil)
  }

  @Test("the daemon's types read what is sent")
  func types() throws {
    let body = try body(
      "-it", "-e", "A=1", "-v", "a:/b", "--memory", "64m", "--ulimit", "core=0", "-p", "80:80", "--tmpfs", "/t",
      "--health-cmd", "x", "--label", "k=v", "--device", "/dev/null", "--cap-add", "ALL", "--sysctl", "a.b=1",
      "--mount", "type=volume,source=v,target=/v,volume-nocopy", "--stop-timeout", "3", "--network", "net",
      "--network-alias", "n")
    let decoded = try JSONDecoder().decode(ContainerCreateRequest.self, from: Data(body.bytes()))
    #expect(decoded.config.image == "img")
    #expect(decoded.config.cmd?.values == ["cmd", "-x"])
    #expect(decoded.hostConfig?.resources.memory == 67_108_864)
    #expect(decoded.hostConfig?.binds == ["a:/b"])
  }
}

import Errors
import ImageSpec
import Testing

@testable import Engine

@Suite struct SpecificationProcessTests {
  private func resolve(
    _ change: (inout InstanceConfiguration, inout ImageConfiguration.Config) -> Void
  ) throws(ApusError) -> ResolvedProcess {
    var configuration = InstanceConfiguration()
    var image = ImageConfiguration.Config()
    image.entrypoint = ["/entry"]
    image.cmd = ["a", "b"]
    image.env = ["PATH=/bin", "IMAGE=1"]
    change(&configuration, &image)
    return try ResolvedProcess(configuration, image: image)
  }

  @Test func imageAloneIsRunAsItSays() throws {
    let process = try resolve { _, _ in }
    #expect(process.arguments == ["/entry", "a", "b"])
    #expect(process.workingDirectory == "/")
    #expect(process.environment == ["PATH=/bin", "IMAGE=1"])
  }

  @Test func commandReplacesTheImagesCommandOnly() throws {
    let process = try resolve { configuration, _ in configuration.process.command = ["c"] }
    #expect(process.arguments == ["/entry", "c"])
    #expect(process.entrypoint == ["/entry"])
  }

  @Test func entrypointDropsTheImagesCommand() throws {
    let process = try resolve { configuration, _ in configuration.process.entrypoint = ["/other"] }
    #expect(process.arguments == ["/other"])
    #expect(process.command == nil)
  }

  @Test func emptyEntrypointsMeanNone() throws {
    let list = try resolve { configuration, _ in configuration.process.entrypoint = [] }
    #expect(list.arguments == ["a", "b"])
    let text = try resolve { configuration, _ in
      configuration.process.entrypoint = [""]
      configuration.process.command = ["c"]
    }
    #expect(text.arguments == ["c"])
  }

  @Test func nothingToRunIsAnError() throws {
    let error = #expect(throws: ApusError.self) {
      try resolve { _, image in
        image.entrypoint = nil
        image.cmd = nil
      }
    }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message == "No command specified")
    #expect(throws: ApusError.self) {
      try resolve { configuration, _ in configuration.process.entrypoint = [""] }
    }
  }

  @Test func variablesOfTheUserWin() throws {
    let process = try resolve { configuration, _ in
      configuration.process.environment = ["IMAGE=2", "MINE=x", "PATH"]
    }
    #expect(process.environment == ["IMAGE=2", "MINE=x", "PATH"])
    // A bare name removes what the engine or the image would have set.
    #expect(process.processEnvironment(hostname: "h", terminal: false) == ["HOSTNAME=h", "IMAGE=2", "MINE=x"])
  }

  @Test func enginesVariablesComeFirstAndGiveWay() throws {
    let process = try resolve { configuration, image in
      image.env = ["A=1"]
      configuration.process.environment = ["TERM=dumb"]
    }
    #expect(
      process.processEnvironment(hostname: "h", terminal: true) == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=h", "TERM=dumb", "A=1",
      ])
    #expect(ResolvedProcess.override(["A=1", "B=2"], with: ["A", "A=3", "C=", "D"]) == ["A=3", "B=2", "C="])
  }

  @Test func labelsPortsAndVolumesAreMerged() throws {
    let process = try resolve { configuration, image in
      image.labels = ["a": "image", "b": "image"]
      image.exposedPorts = ["80/tcp"]
      image.volumes = ["/data", "relative"]
      configuration.labels = ["b": "user"]
      configuration.network.exposedPorts = ["443/tcp", "80/tcp"]
    }
    #expect(process.labels == ["a": "image", "b": "user"])
    #expect(process.exposedPorts == ["443/tcp", "80/tcp"])
    #expect(process.volumes == ["/data", "/relative"])
  }

  @Test func workingDirectories() throws {
    #expect(try resolve { _, image in image.workingDir = "srv/./x/../app" }.workingDirectory == "/srv/app")
    #expect(
      try resolve { configuration, _ in configuration.process.workingDirectory = "/a//b/" }.workingDirectory == "/a/b")
    let error = #expect(throws: ApusError.self) {
      try resolve { configuration, _ in configuration.process.workingDirectory = "a" }
    }
    #expect(error?.message == "the working directory 'a' is invalid, it needs to be an absolute path")
  }

  @Test func healthChecksAreInheritedFieldByField() throws {
    let inherited = try resolve { _, image in
      image.healthcheck = ImageConfiguration.HealthCheck(test: ["CMD", "x"], interval: 5, retries: 2)
    }
    #expect(inherited.healthCheck?.test == ["CMD", "x"])
    let mixed = try resolve { configuration, image in
      image.healthcheck = ImageConfiguration.HealthCheck(test: ["CMD", "x"], interval: 5, retries: 2)
      var check = HealthCheckConfiguration()
      check.retries = 7
      configuration.healthCheck = check
    }
    #expect(mixed.healthCheck?.test == ["CMD", "x"])
    #expect(mixed.healthCheck?.interval == 5)
    #expect(mixed.healthCheck?.retries == 7)
    #expect(try resolve { _, _ in }.healthCheck == nil)
  }

  @Test func pathsAreCleanedLexically() {
    #expect(cleanPath("/") == "/")
    #expect(cleanPath("/../a/./b//../c/") == "/a/c")
    #expect(cleanPath("a/../..") == "..")
    #expect(cleanPath("") == ".")
  }

  @Test func execTakesAfterTheInstance() throws {
    var configuration = InstanceConfiguration()
    configuration.process.workingDirectory = "/w"
    configuration.process.user = "www"
    configuration.process.groups = ["audio"]
    let record = try exampleRecord(configuration)
    var exec = ExecConfiguration()
    exec.arguments = ["id"]
    exec.environment = ["X=1"]
    let request = try record.execRequest(exec, id: "e", host: .example)
    #expect(request.process.cwd == "/w")
    #expect(request.user == "www")
    #expect(request.additionalGroups == ["audio"])
    #expect(request.process.env.suffix(1) == ["X=1"])
    #expect(request.process.capabilities?.bounding.count == 14)
    exec.privileged = true
    #expect(try record.execRequest(exec, id: "e", host: .example).process.capabilities?.bounding.count == 41)
    exec.arguments = []
    #expect(throws: ApusError.self) { try record.execRequest(exec, id: "e", host: .example) }
  }
}

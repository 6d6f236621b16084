import ArgumentParser
import Testing

@testable import apus

@Suite("Docker's option syntax") struct DockerSyntaxTests {
  private func words(_ line: [String]) -> [String] { DockerSyntax(line, root: Apus.self).words }

  @Test("letters and values join as in pflag")
  func clusters() {
    #expect(
      words(["run", "-itv", "/a:/b", "-eA=1", "-m=5m", "img"])
        == ["-i", "-t", "-v=/a:/b", "-e=A=1", "-m=5m", "--", "img"])
  }

  @Test("a value may begin with a dash")
  func dashes() {
    #expect(words(["run", "--memory-swap", "-1", "img"]) == ["--memory-swap=-1", "--", "img"])
    #expect(words(["stop", "-t", "-1", "web"]) == ["-t=-1", "web"])
  }

  @Test("a value may be empty")
  func empty() throws {
    #expect(words(["run", "--entrypoint=", "img"]) == ["--entrypoint", "", "--", "img"])
    let syntax = DockerSyntax(["run", "--entrypoint", "", "img"], root: Apus.self)
    #expect((try syntax.command.parseAsRoot(syntax.words) as? RunCommand)?.options.rare.program.entrypoint == "")
  }

  @Test("flags take true and false")
  func flags() {
    #expect(
      words(["run", "--rm=true", "--init=false", "--sig-proxy=false", "i"]) == ["--rm", "--no-sig-proxy", "--", "i"])
    #expect(words(["rm", "-f=true", "a"]) == ["-f", "a"])
  }

  @Test("a flag that is neither on nor off can be said to be either")
  func triple() {
    #expect(words(["network", "create", "--ipv4=false", "--ipv6=true", "n"]) == ["--no-ipv4", "--ipv6", "n"])
    #expect(words(["network", "create", "--internal=false", "n"]) == ["n"])
  }

  @Test("after the image every word belongs to the program")
  func handsOn() {
    #expect(
      words(["run", "--rm", "img", "ls", "-l", "--name", "x", "--", "-it"])
        == ["--rm", "--", "img", "ls", "-l", "--name", "x", "--", "-it"])
    #expect(words(["exec", "-it", "web", "sh", "-c", "---"]) == ["-i", "-t", "--", "web", "sh", "-c", "---"])
    #expect(words(["top", "web", "-ef"]) == ["--", "web", "-ef"])
  }

  @Test("options may stand after the arguments of other commands")
  func mixed() {
    #expect(words(["logs", "web", "-fn", "5"]) == ["web", "-f", "-n=5"])
  }

  @Test("the daemon's place may stand before the verb")
  func host() {
    #expect(words(["-H", "unix:///s", "ps", "-a"]) == ["--host=unix:///s", "-a"])
    #expect(words(["--host=unix:///s", "image", "ls"]) == ["--host=unix:///s"])
  }

  @Test("-h is a host name where there is one to set, and help elsewhere")
  func letterH() {
    #expect(words(["run", "-h", "box", "img"]) == ["-h=box", "--", "img"])
    #expect(words(["ps", "-h"]) == ["-h"])
  }

  @Test("every command knows which of its options take no value")
  func tables() throws {
    for command in Self.leaves(Apus.self) {
      guard let verb = command as? any Verb.Type else { continue }
      let declared = Set(verb.flags.split(separator: " ").map(String.init))
      let (flags, options) = try Self.names(of: command)
      let implied: Set<String> = ["help", "h", "json"]
      #expect(
        declared.subtracting(implied)
          == flags.subtracting(implied).filter { !$0.hasPrefix("no-") || declared.contains($0) },
        "\(command.spelledName)")
      #expect(declared.isDisjoint(with: options), "\(command.spelledName)")
    }
  }

  @Test("every verb parses what Docker users type")
  func parses() throws {
    for line in [
      "run -it --rm debian:12 bash", "create --name x img", "start -ai x", "stop -t 2 x y", "restart --time 3 x",
      "kill -s HUP x", "rm -fv x", "ps -aq -n 3 -f name=x --no-trunc", "logs -ft --tail=10 --since 10m x",
      "exec -it -u 0 -w / -e A=b x sh", "cp -aL x:/a ./b", "diff x", "export -o f x", "import - x:1",
      "commit -a me -m text -c CMD x y", "inspect -f {{.Id}} -s x", "rename a b", "update -m 5m --cpus 2 x", "wait x",
      "top x aux", "stats --no-stream x", "events --since 1m --until 0s -f type=container", "images -aq --digests",
      "rmi -f x", "tag a b", "pull -q a", "save -o f a b", "load -i f -q", "history -H --no-trunc a", "info -f json",
      "version --format json",
      "run -d -P -p 8080:80 -p 53:53/udp --expose 1-2 --network a --network name=b,alias=c --ip 10.0.0.2 --ip6 fd00::2 x",
      "run --net a --net-alias b --link-local-ip 169.254.1.1 --mac-address 02:42:ac:11:00:02 --link x:y --dns 1.1.1.1 x",
      "run --dns-search a --dns-opt b --dns-option c --add-host a:1.2.3.4 --network-rate ingress=1mbit x", "port x",
      "port x 80/udp", "container port x", "update -p 8080:80 --unpublish 80 x", "ps --filter network=a -f publish=80",
      "network create -d bridge -o a=b --label c=d --internal --attachable --ipv4=false --ipv6 --subnet 10.0.0.0/24 x",
      "network create --gateway 10.0.0.1 --ip-range 10.0.0.0/25 --aux-address a=10.0.0.2 --ipam-driver x --ipam-opt a=b x",
      "network ls -q -f driver=bridge --no-trunc --format {{.ID}}", "network list", "network inspect -f {{.Id}} -v x y",
      "network rm -f x y", "network remove x", "network connect --ip 10.0.0.2 --ip6 fd00::2 --alias a --link x:y a x",
      "network connect --link-local-ip 169.254.1.1 --driver-opt a=b --gw-priority -1 a x", "network disconnect -f a x",
      "network prune -f --filter label=a", "inspect --type network x", "volume create -d local --label a=b v",
      "volume ls -q", "volume inspect v",
      "volume rm -f v", "volume prune -af", "image ls", "image rm a", "image prune -af", "image bootstrap debian:12",
      "image bootstrap debian:12 --include a,b --init --force", "container ls -a", "container prune -f",
      "system df -v", "system prune -af --volumes", "system info", "container run img", "container rm -f x",
    ] {
      let syntax = DockerSyntax(line.split(separator: " ").map(String.init), root: Apus.self)
      #expect(syntax.unknown == nil, "\(line)")
      #expect(throws: Never.self, "\(line)") { _ = try syntax.command.parseAsRoot(syntax.words) }
    }
  }

  private static func leaves(_ command: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
    let children = command.configuration.subcommands
    return children.isEmpty ? [command] : children.flatMap(leaves)
  }

  /// The names of a command's flags and of its options, as ArgumentParser describes them.
  private static func names(of command: any ParsableCommand.Type) throws -> (flags: Set<String>, options: Set<String>) {
    let text = command._dumpHelp()
    let description = try JSONReader.read(Array(text.utf8))
    var flags: Set<String> = [], options: Set<String> = []
    for argument in description["command"]["arguments"].elements {
      let names = argument["names"].elements.compactMap { $0["name"].string }
      switch argument["kind"].string {
      case "flag": flags.formUnion(names)
      case "option": options.formUnion(names)
      default: break
      }
    }
    return (flags, options)
  }
}

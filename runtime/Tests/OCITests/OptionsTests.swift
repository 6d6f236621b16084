import Errors
import Testing

@testable import apus_runtime

private let known: [Option] = [
  Option("bundle", "b", "a path"), Option("force", "f", kind: .flag, "a flag"),
  Option("env", "e", kind: .list, "a list"),
]

@Suite struct OptionsTests {
  @Test("A value can follow its option or an equals sign, with one dash or two")
  func values() throws {
    for line in [["--bundle", "/x", "id"], ["--bundle=/x", "id"], ["-b", "/x", "id"], ["-bundle=/x", "id"]] {
      let options = try Options(line, known: known)
      #expect(options.value("bundle") == "/x")
      #expect(options.arguments == ["id"])
    }
  }

  @Test("The last of several values counts, and all of a list")
  func repeated() throws {
    let options = try Options(["-b", "1", "-b", "2", "-e", "A=1", "--env", "B=2"], known: known)
    #expect(options.value("bundle") == "2")
    #expect(options.list("env") == ["A=1", "B=2"])
  }

  @Test("A flag can be switched off again")
  func flags() throws {
    #expect(try Options(["-f"], known: known).has("force"))
    #expect(try Options(["--force=true"], known: known).has("force"))
    #expect(try !Options(["--force=false"], known: known).has("force"))
    #expect(try !Options(["--force", "--force=0"], known: known).has("force"))
    #expect(throws: UsageError.self) { try Options(["--force=perhaps"], known: known) }
  }

  @Test("Options end at the first argument, or can follow it where a command wants that")
  func order() throws {
    let line = ["id", "-f", "--unknown", "-1"]
    #expect(try Options(line, known: known).arguments == line)
    let anywhere = try Options(line, known: known, anywhere: true)
    #expect(anywhere.has("force"))
    #expect(anywhere.arguments == ["id", "--unknown", "-1"])
  }

  @Test("Two dashes end the options, one alone is an argument")
  func ends() throws {
    #expect(try Options(["--", "-f"], known: known).arguments == ["-f"])
    #expect(try Options(["-", "x"], known: known).arguments == ["-", "x"])
  }

  @Test("What is not known, and a value that is missing, are named")
  func mistakes() {
    func reason(_ line: [String]) -> String? {
      do throws(UsageError) {
        _ = try Options(line, known: known)
        return nil
      } catch {
        return error.reason
      }
    }
    #expect(reason(["--bogus"]) == "flag provided but not defined: -bogus")
    #expect(reason(["--bundle"]) == "flag needs an argument: -bundle")
  }

  @Test("A number has to be one")
  func numbers() throws {
    #expect(try Options(["-b", "12"], known: known).number("bundle", Int32.self) == 12)
    #expect(try Options([], known: known).number("bundle", Int32.self) == nil)
    #expect(throws: ApusError.self) { try Options(["-b", "12x"], known: known).number("bundle", Int32.self) }
    #expect(throws: ApusError.self) { try Options(["-b", "-1"], known: known).number("bundle", UInt16.self) }
  }

  @Test("Every verb has a name of its own, and so has each of its options")
  func table() {
    #expect(Set(Command.all.map(\.name)).count == Command.all.count)
    for command in Command.all {
      let names = command.options.flatMap(\.names)
      #expect(Set(names).count == names.count, "\(command.name)")
      #expect(command.help(program: "p").contains("p \(command.name)"))
    }
  }
}

import Errors
import RuntimeSpec

@testable import Container

/// What callers of the runtime write as JSON; what is understood must survive being written and read again. The first
/// byte says what it is.
func fuzzSpecification(_ input: UnsafeRawBufferPointer) -> Int32 {
  guard let first = input.first else { return -1 }
  func read<Document: JSONObject & Equatable>(_ type: Document.Type) {
    do {
      let document = try Document(json: Array(input.dropFirst()))
      let again = try Document(json: document.json())
      precondition(document == again)
    } catch {
      precondition(!error.message.isEmpty && error.message.utf8.count < 8192)
    }
  }
  switch first % 4 {
  case 0: read(Spec.self)
  case 1: read(ProcessSpec.self)
  case 2: read(LinuxResources.self)
  default: read(ContainerProcessState.self)
  }
  return 0
}

/// Configurations of containers: accepted, or refused with a sentence. Whatever is missing for more to be looked at is
/// added.
func fuzzPlan(_ input: UnsafeRawBufferPointer) -> Int32 {
  do {
    var spec = try Spec(json: Array(input))
    if spec.process == nil { spec.process = ProcessSpec() }
    if spec.root == nil { spec.root = Root(path: "rootfs") }
    var configuration = ContainerConfiguration(
      id: "one", spec: spec, streams: .descriptors(input: 0, output: 1, error: 2))
    configuration.bundle = "/bundle"
    let plan = try Plan(configuration)
    precondition(plan.filter.count % 8 == 0 && !plan.cgroupPath.hasPrefix("/"))
    for mount in plan.mounts {
      precondition(mount.destination.hasPrefix("/") && (!mount.isBind || mount.source.hasPrefix("/")))
    }
  } catch {
    precondition(!error.message.isEmpty)
  }
  return 0
}

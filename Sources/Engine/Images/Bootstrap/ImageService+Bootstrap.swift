import Errors
import FoundationEssentials
import ImageSpec
import Layers
import Linux
import Synchronization

extension ImageService {
  /// Makes an image of a Debian or Ubuntu suite from the distribution's own packages, with the machine's mirrors, by
  /// mmdebstrap. The last message carries the image's ID.
  ///
  /// - Parameters:
  ///   - reference: `debian:12`, `debian:trixie`, `ubuntu:24.04`; any name with `suite`.
  ///   - include: further packages.
  ///   - initSystem: an image that boots: systemd and what belongs to it.
  ///   - force: make it again although it is there, made of the same packages.
  /// - Throws: (in the stream) `unavailable` naming what to install when mmdebstrap or a keyring is missing, or with
  ///   the words of mmdebstrap when it failed.
  public func bootstrap(
    _ reference: String, suite: String? = nil, include: [String] = [], initSystem: Bool = false, force: Bool = false
  ) -> ProgressStream {
    progress { [self] report in
      let plan = try BootstrapPlan(reference: reference, suite: suite, include: include, initSystem: initSystem)
      if !force, let image = try? await resolve(plan.reference.canonical),
        image.manifest.annotations?[BootstrapPlan.annotation] == plan.fingerprint
      {
        report(TransferProgress(status: "Image is up to date for \(plan.reference.familiar)", image: image.id))
        return
      }
      guard BootstrapMachine.program("mmdebstrap") != nil else {
        throw ApusError(
          .unavailable,
          "cannot make \(plan.reference.familiar): mmdebstrap is not installed; install it with: apt-get install mmdebstrap"
        )
      }
      report(TransferProgress(id: plan.reference.tag, status: "Making \(plan.title) from its packages"))
      let image = try await make(plan, report: report)
      report(TransferProgress(status: "Status: Made \(plan.reference.familiar)", image: image.id))
      event("import", image.id.description, name: plan.reference.familiar)
      await releaseFreedMemory()
    }
  }

  private func make(
    _ plan: BootstrapPlan, report: @escaping @Sendable (TransferProgress) -> Void
  ) async throws -> Image {
    let hold = holdEverything()
    defer { hold.release() }
    // Threads of its own: they wait for minutes, and everybody else's work must not wait with them.
    let threads = BlockingPool(threads: 2)
    do {
      let made = try await layer(plan, on: threads, report: report)
      await threads.shutdown()
      try Task.checkCancellation()
      var commit = ImageCommit(layer: made.layer, reference: plan.reference.canonical)
      commit.config = plan.config
      commit.createdBy = "apus image bootstrap \(plan.title) \(plan.packages.joined(separator: ","))"
      commit.created = made.epoch.map { Date(timeIntervalSince1970: Double($0)) }
      commit.annotations = [BootstrapPlan.annotation: plan.fingerprint]
      do {
        return try await commitImage(commit)
      } catch {
        collectLater(made.layer.items)
        throw error
      }
    } catch {
      await threads.shutdown()
      throw error
    }
  }

  private func layer(
    _ plan: BootstrapPlan, on threads: BlockingPool, report: @escaping @Sendable (TransferProgress) -> Void
  ) async throws -> (layer: IngestedLayer, epoch: Int64?) {
    let child = try await threads.run {
      var machine = BootstrapMachine.current()
      machine.aptOptions = BootstrapMachine.aptOptions(dump: Self.aptConfiguration())
      return try ChildProcess(try plan.command(machine: machine))
    }
    let progress = BootstrapLog()
    return try await withTaskCancellationHandler {
      async let talk: Void = threads.run {
        child.errors.lines { line in
          if let message = progress.state.withLock({ $0.take(line) }) { report(message) }
        }
      }
      let layer: IngestedLayer?
      do {
        layer = try await threads.run { [layers] in
          let ingest = try LayerIngest(store: layers, keepBlob: true, compressTo: .gzip)
          let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
          defer { buffer.deallocate() }
          while case let count = try child.output.read(into: buffer), count > 0 {
            try ingest.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
          }
          // Only after it said that all went well is what it wrote a whole tree.
          guard try child.wait().code == 0 else {
            ingest.abort()
            return nil
          }
          return try ingest.finish()
        }
      } catch {
        child.output.close()
        child.end()
        try? await talk
        try? await threads.run { child.reap() }
        throw error
      }
      // What went wrong is on its standard error, which may come after its end.
      try await talk
      try Task.checkCancellation()
      guard let layer else {
        throw ApusError(
          .unavailable, "cannot make \(plan.reference.familiar): mmdebstrap: \(progress.state.withLock { $0.failure })")
      }
      return (layer, progress.state.withLock { $0.epoch })
    } onCancel: {
      child.end()
    }
  }

  private static func aptConfiguration() -> String {
    guard let child = try? ChildProcess(["apt-config", "dump", "Acquire"]) else { return "" }
    var text = ""
    child.output.lines { text += $0 + "\n" }
    child.reap()
    return text
  }
}

extension IngestedLayer {
  /// What it is in the store.
  var items: Set<StoredItem> {
    var items: Set<StoredItem> = [.layer(diffID)]
    if let blob { items.insert(.blob(blob.digest)) }
    return items
  }
}

/// What the one thread reads and the other task asks.
private final class BootstrapLog: Sendable {
  let state = Mutex(BootstrapProgress())
}

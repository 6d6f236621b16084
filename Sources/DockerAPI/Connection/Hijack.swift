import DockerTypes
import Engine
import NIOCore

/// How a stream session is carried over a hijacked connection (`POST /containers/{id}/attach`, "Hijacking").
struct Hijack: Sendable {
  let connection: Connection
  /// The client asked for `Upgrade: tcp`: answered by 101, else by 200.
  let upgrade: Bool
  /// Output is told apart by stream frames; else raw.
  let multiplexed: Bool
  /// The client may write.
  let input: Bool
  let version: APIVersion

  /// Answers the request. From here on errors can only be told as output.
  func begin() async throws { try await connection.hijack(head: head) }

  /// Carries both directions until the session ends or the client goes, and closes.
  func carry(_ session: any StreamSession) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await carryInput(to: session) }
      group.addTask {
        await connection.closed()
        await session.close()
      }
      await carryOutput(from: session)
      connection.close()
    }
  }

  /// Ends with one sentence as output: a program that could not be started.
  func fail(_ sentence: String) async {
    try? await connection.write(framed(OutputChunk(stream: .stdout, bytes: ByteBuffer(string: sentence + "\r\n"))))
    connection.close()
  }

  private func carryInput(to session: any StreamSession) async {
    var accepts = input
    while let bytes = try? await connection.read() {
      guard accepts else { continue }
      do {
        try await session.write(bytes)
      } catch {
        // The process no longer reads; its output goes on, and the client's end must still be noticed.
        accepts = false
      }
    }
    if input { await session.closeInput() }
  }

  private func carryOutput(from session: any StreamSession) async {
    while let chunk = try? await session.read() {
      do {
        try await connection.write(framed(chunk))
      } catch {
        return
      }
    }
  }

  private func framed(_ chunk: OutputChunk) -> ByteBuffer {
    guard multiplexed else { return chunk.bytes }
    return StreamFrame(chunk).buffer(with: chunk.bytes)
  }

  private var head: ByteBuffer {
    let type = multiplexed && version >= .multiplexedStreams ? "multiplexed" : "raw"
    var head = ByteBuffer()
    head.writeString(upgrade ? "HTTP/1.1 101 UPGRADED\r\n" : "HTTP/1.1 200 OK\r\n")
    head.writeString("Content-Type: application/vnd.docker.\(type)-stream\r\n")
    if upgrade { head.writeString("Connection: Upgrade\r\nUpgrade: tcp\r\n") }
    for header in StandardHeaders.fields { head.writeString("\(header.name.rawName): \(header.value)\r\n") }
    head.writeString("\r\n")
    return head
  }
}

extension StreamFrame {
  init(_ chunk: OutputChunk) {
    let stream: Stream =
      switch chunk.stream {
      case .stdin: .stdin
      case .stdout: .stdout
      case .stderr: .stderr
      }
    self.init(stream, length: UInt32(clamping: chunk.bytes.readableBytes))
  }

  /// Header and payload in one buffer, so that they leave in one system call.
  func buffer(with payload: ByteBuffer) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.reserveCapacity(Self.headerSize + payload.readableBytes)
    buffer.writeInteger(header)
    buffer.writeImmutableBuffer(payload)
    return buffer
  }
}

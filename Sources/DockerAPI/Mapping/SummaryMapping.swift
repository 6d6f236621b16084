import DockerTypes
import Engine
import FoundationEssentials

extension ContainerSummary {
  /// One line of `GET /containers/json`. `image` is what the image is called now: its ID where the name has moved on.
  init(_ record: InstanceRecord, image: String, now: Date, networks: NetworkDirectory) {
    self.init()
    id = record.id
    names = ["/" + record.name]
    self.image = image
    imageID = record.imageID.description
    command = Self.command(record.resolved.arguments)
    created = GoTime.split(record.created).seconds
    labels = record.resolved.labels
    state = record.state.status.rawValue
    status = StatusText.describe(record.state, now: now)
    hostConfig.networkMode = NetworkName.mode(record.configuration.network.mode)
    hostConfig.annotations = record.configuration.annotations.isEmpty ? nil : record.configuration.annotations
    mounts = record.mounts.map { MountSummary($0, record.configuration) }
    let settings = DockerTypes.NetworkSettings(record, networks)
    networkSettings.networks = settings.networks.mapValues(\.summary)
    ports = PortSummary.all(settings.ports)
  }

  private static func command(_ arguments: [String]) -> String {
    guard let program = arguments.first else { return "" }
    let rest = arguments.dropFirst().map { $0.contains(" ") ? "'\($0)'" : $0 }
    return ([program] + rest).joined(separator: " ")
  }
}

/// The words of `docker ps`'s STATUS column.
enum StatusText {
  static func describe(_ state: InstanceState, now: Date) -> String {
    func since(_ date: Date?) -> String { HumanDuration.string(seconds: date.map { now.timeIntervalSince($0) } ?? 0) }
    switch state.status {
    case .created: return "Created"
    case .dead: return "Dead"
    case .removing: return "Removal In Progress"
    case .exited: return "Exited (\(state.exitCode)) \(since(state.finishedAt)) ago"
    case .restarting: return "Restarting (\(state.exitCode)) \(since(state.finishedAt)) ago"
    case .paused: return "Up \(since(state.startedAt)) (Paused)"
    case .running:
      let health =
        switch state.health?.status {
        case .starting: " (health: starting)"
        case .healthy: " (healthy)"
        case .unhealthy: " (unhealthy)"
        case nil, .some(.none): ""
        }
      return "Up \(since(state.startedAt))" + health
    }
  }
}

/// Durations as Docker tells them to people.
enum HumanDuration {
  static func string(seconds: Double) -> String {
    let seconds = Int(max(0, min(seconds, 1e12)))
    let minutes = seconds / 60
    let hours = Int((Double(seconds) / 3_600).rounded())
    switch true {
    case seconds < 1: return "Less than a second"
    case seconds == 1: return "1 second"
    case seconds < 60: return "\(seconds) seconds"
    case minutes == 1: return "About a minute"
    case minutes < 60: return "\(minutes) minutes"
    case hours == 1: return "About an hour"
    case hours < 48: return "\(hours) hours"
    case hours < 24 * 7 * 2: return "\(hours / 24) days"
    case hours < 24 * 30 * 2: return "\(hours / 24 / 7) weeks"
    case hours < 24 * 365 * 2: return "\(hours / 24 / 30) months"
    default: return "\(hours / 24 / 365) years"
    }
  }
}

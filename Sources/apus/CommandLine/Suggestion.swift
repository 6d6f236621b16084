/// Finds what a mistyped word was meant to be.
enum Suggestion {
  /// The nearest candidate by edit distance, if it is near enough to be meant.
  static func nearest(to word: String, among candidates: [String]) -> String? {
    let limit = max(1, word.count / 3)
    var best: (name: String, distance: Int)?
    for candidate in candidates {
      var distance = Self.distance(Array(word.lowercased()), Array(candidate))
      // Half a word typed is meant as often as one letter wrong.
      if word.count >= 3, candidate.hasPrefix(word.lowercased()) { distance = min(distance, limit) }
      if distance <= limit, distance < best?.distance ?? Int.max { best = (candidate, distance) }
    }
    return best?.name
  }

  /// Edit distance in which two neighbouring letters swapped count as one edit (`rnu` is `run`).
  static func distance(_ from: [Character], _ to: [Character]) -> Int {
    if from.isEmpty || to.isEmpty { return max(from.count, to.count) }
    var rows = [Array(0...to.count)]
    for i in 1...from.count {
      var row = [i]
      for j in 1...to.count {
        let substitution = rows[i - 1][j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1)
        var cost = min(rows[i - 1][j] + 1, row[j - 1] + 1, substitution)
        if i > 1, j > 1, from[i - 1] == to[j - 2], from[i - 2] == to[j - 1] {
          cost = min(cost, rows[i - 2][j - 2] + 1)
        }
        row.append(cost)
      }
      rows.append(row)
    }
    return rows[from.count][to.count]
  }
}

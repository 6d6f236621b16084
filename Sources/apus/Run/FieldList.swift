/// An argument of several fields: `name=web,alias=www`.
enum FieldList {
  /// The fields between commas. One with a comma in it stands in quotes, as in CSV.
  static func split(_ text: String) -> [String] {
    var fields = [""]
    var quoted = false
    for character in text {
      switch character {
      case "\"": quoted.toggle()
      case "," where !quoted: fields.append("")
      default: fields[fields.count - 1].append(character)
      }
    }
    return fields
  }

  /// A field's name, in lower case, and what stands behind the first equals sign; nil where there is none.
  static func pair(_ field: String) -> (key: String, value: String?) {
    let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    return (parts[0].lowercased().trimmingSpace(), parts.count > 1 ? parts[1].trimmingSpace() : nil)
  }
}

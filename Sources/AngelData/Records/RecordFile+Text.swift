import AngelCore

extension RecordFile {
  /// The text of the row at `index`: the row itself, or what it has under `key`; throws naming the keys it has instead.
  public func text(at index: Int, key: String) throws(DataError) -> String {
    let row = try row(at: index)
    if let text = row.string ?? row[key]?.string { return text }
    let keys = row.object?.members.map { quoted($0.key) }.joined(separator: ", ") ?? row.kind
    throw .row(place: place(of: index), reason: "no text under \(quoted(key)); the row has \(keys)")
  }
}

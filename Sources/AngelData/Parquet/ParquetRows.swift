import AngelCore

/// A Parquet file's rows, one after the other.
///
/// A row group's columns are read side by side, a page of each at a time. Null fields are left out of their objects:
/// Arrow writes every field that any row has into every row.
final class ParquetRows {
  /// Rows of the file, and of those read.
  let count: Int
  private(set) var rowsRead = 0

  private let file: MappedFile
  private let metadata: ParquetMetadata
  private let schema: ParquetSchema
  /// The top-level columns that are read.
  private let fields: [ParquetSchema.Node]
  private var group = 0
  /// The columns of the group at hand, by their number; nil where they are not read.
  private var columns: [ParquetColumn?] = []
  private var leftInGroup = 0
  /// About the bytes that the row which was read last takes in memory.
  private(set) var rowByteCount = 0

  /// The most bytes of a row. A run of missing elements, or of one long text, takes a few bytes of a page however long it is.
  private static let rowLimit = 256 << 20
  /// What a value takes beside the bytes of a text, missing ones too.
  private static let valueBytes = 64
  private static let magic = Array("PAR1".utf8)
  private static let footerLimit = 16 << 20

  /// - Parameter keys: the columns that are wanted; all where the file has none of these, or none are named.
  init(_ file: MappedFile, keys: Set<String>) throws(ParquetError) {
    self.file = file
    let size = file.byteCount
    let tail = withExtendedLifetime(file) { Array(file.unsafeBytes.suffix(8)) }
    guard size >= 12, tail.suffix(4).elementsEqual(Self.magic) else {
      throw .damaged(tail.suffix(4).elementsEqual("PARE".utf8) ? "it is encrypted" : "it does not end as one")
    }
    let length = Int(ParquetValues.number(tail, at: 0, bytes: 4))
    guard length <= size - 12, length <= Self.footerLimit else { throw .damaged("its footer has \(length) bytes") }
    let footer = withExtendedLifetime(file) { Array(file.unsafeBytes[(size - 8 - length)..<(size - 8)]) }
    metadata = try ParquetMetadata(footer)
    schema = try ParquetSchema(metadata.schema)
    let wanted = schema.fields.filter { keys.contains($0.name) }
    fields = wanted.isEmpty ? schema.fields : wanted
    var count = 0
    for group in metadata.rowGroups {
      guard group.rowCount >= 0, group.chunks.count == schema.columns.count,
        !count.addingReportingOverflow(group.rowCount).overflow
      else { throw .damaged("a row group of \(group.rowCount) rows and \(group.chunks.count) columns") }
      count += group.rowCount
    }
    self.count = count
  }

  /// The next row as an object; nil after the last.
  func next() throws(ParquetError) -> JSONValue? {
    while leftInGroup == 0 {
      // Mapped pages of the group that is done with count as memory until they are given back.
      if group > 0 { file.release(0..<file.byteCount) }
      guard group < metadata.rowGroups.count else { return nil }
      defer { group += 1 }
      // The columns of a group without rows may lie nowhere.
      if metadata.rowGroups[group].rowCount > 0 { try begin(metadata.rowGroups[group]) }
    }
    leftInGroup -= 1
    rowsRead += 1
    rowByteCount = 0
    let row = try object(fields)
    for node in fields {
      for leaf in node.leaves where columns[leaf]?.repetition != 0 {
        throw .damaged("the columns of row \(rowsRead) do not belong together")
      }
    }
    return row
  }

  private func begin(_ group: ParquetMetadata.RowGroup) throws(ParquetError) {
    // Those of the group before are let go first.
    columns = []
    let budget = ParquetBudget()
    var columns = [ParquetColumn?](repeating: nil, count: schema.columns.count)
    for node in fields {
      for leaf in node.leaves {
        columns[leaf] = try ParquetColumn(schema.columns[leaf], group.chunks[leaf], in: file, budget)
      }
    }
    self.columns = columns
    leftInGroup = group.rowCount
  }

  // MARK: A row

  private func object(_ fields: [ParquetSchema.Node]) throws(ParquetError) -> JSONValue {
    var object = JSONObject()
    for node in fields {
      if let value = try value(node) { object[node.name] = value }
    }
    return .object(object)
  }

  /// What the columns below `node` say next; nil where it is null.
  private func value(_ node: ParquetSchema.Node) throws(ParquetError) -> JSONValue? {
    try count(Self.valueBytes)
    guard let probe = node.leaves.first.flatMap({ columns[$0] }) else { throw .damaged("a column is missing") }
    if probe.definition < node.presence {
      try leaveOut(node)
      return nil
    }
    switch node.shape {
    case .leaf:
      let value = try probe.take()
      if case .string(let text) = value { try count(text.utf8.count) }
      return value
    case .structure(let fields): return try object(fields)
    case .list(let element):
      return .array(try elements(node, probe) { () throws(ParquetError) in try value(element) ?? .null })
    case .map(let key, let value):
      let entries = try elements(node, probe) { () throws(ParquetError) in
        (try Self.name(self.value(key) ?? .null), try self.value(value) ?? .null)
      }
      return .object(JSONObject(entries))
    }
  }

  private func elements<Element>(
    _ node: ParquetSchema.Node, _ probe: ParquetColumn, _ element: () throws(ParquetError) -> Element
  ) throws(ParquetError) -> [Element] {
    guard probe.definition >= node.definition else {
      try leaveOut(node)
      return []
    }
    var elements: [Element] = []
    repeat { elements.append(try element()) } while probe.repetition == node.repetition
    return elements
  }

  /// A map's key as the name of a field: what is no text is written as JSON.
  private static func name(_ key: JSONValue) -> String { key.string ?? key.encoded() }

  private func count(_ bytes: Int) throws(ParquetError) {
    rowByteCount += bytes
    guard rowByteCount <= Self.rowLimit else {
      throw .unread("a row of more than \(TextFormat.bytes(Self.rowLimit))", "leave its column out")
    }
  }

  /// Passes over what stands for nothing, once in every column below.
  private func leaveOut(_ node: ParquetSchema.Node) throws(ParquetError) {
    for leaf in node.leaves { try columns[leaf]?.advance() }
  }
}

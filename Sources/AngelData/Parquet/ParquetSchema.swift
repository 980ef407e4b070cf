/// The tree of a Parquet file's columns, with the levels that say where a value is missing and where a list goes on.
///
/// Source: parquet-format, "Nested Encoding" (the levels of Dremel) and LogicalTypes.md, "Nested Types".
struct ParquetSchema {
  /// What a node becomes in a row.
  indirect enum Shape {
    /// A value of column `column`.
    case leaf(column: Int)
    case structure([Node])
    /// A list; its elements are `Node`, which is there when the definition level reaches `level`.
    case list(Node)
    /// A list of entries, key and value.
    case map(key: Node, value: Node)
  }

  struct Node {
    let name: String
    let shape: Shape
    /// The definition level from which the node is not null; of a list, from which it has an element.
    let definition: Int
    /// Of lists and maps: the repetition level at which another element follows.
    let repetition: Int
    /// The columns below that are read.
    let leaves: [Int]
    /// Of lists and maps: the definition level from which it is a list at all, though an empty one.
    let presence: Int
  }

  /// A column: how its values are written, and its highest levels.
  struct Column {
    let type: Int
    let isUnsigned: Bool
    let definition: Int
    let repetition: Int
  }

  /// The columns of a row; those that have no form in JSON (decimals, times in 96 bits, fixed bytes) are left out.
  private(set) var fields: [Node] = []
  /// All columns, in the order of a row group's chunks.
  private(set) var columns: [Column] = []

  private var elements: ArraySlice<ParquetMetadata.Element>
  private static let depthLimit = 32

  init(_ elements: [ParquetMetadata.Element]) throws(ParquetError) {
    guard let root = elements.first, root.childCount > 0 else { throw .damaged("it names no columns") }
    self.elements = elements.dropFirst()
    for _ in 0..<root.childCount {
      if let node = try node(definition: 0, repetition: 0, depth: 0) { fields.append(node) }
    }
    guard self.elements.isEmpty else { throw .damaged("columns beside the tree of columns") }
  }

  /// The next node with what is below it, repeated or not; nil where nothing of it has a form in JSON.
  private mutating func node(definition: Int, repetition: Int, depth: Int) throws(ParquetError) -> Node? {
    guard let element = elements.popFirst() else { throw .damaged("its tree of columns is cut off") }
    guard depth < Self.depthLimit else { throw .damaged("columns are nested too deeply") }
    guard (0...2).contains(element.repetition) else { throw .damaged("the repetition type \(element.repetition)") }
    let isRepeated = element.repetition == 2
    let own = definition + (element.repetition == 0 ? 0 : 1)
    let inner = repetition + (isRepeated ? 1 : 0)
    guard let shape = try shape(element, own, inner, depth) else { return nil }
    let leaves = Self.leaves(shape.shape)
    let node = Node(
      name: element.name, shape: shape.shape, definition: shape.definition ?? own,
      repetition: shape.repetition ?? inner, leaves: leaves, presence: own)
    guard isRepeated else { return node }
    // Repeated without a list around it: it is the list itself, and never null.
    return Node(
      name: element.name, shape: .list(node), definition: own, repetition: inner, leaves: leaves,
      presence: definition)
  }

  private static func leaves(_ shape: Shape) -> [Int] {
    switch shape {
    case .leaf(let column): [column]
    case .structure(let fields): fields.flatMap(\.leaves)
    case .list(let element): element.leaves
    case .map(let key, let value): key.leaves + value.leaves
    }
  }

  /// What an element is, with its levels where those of a list differ from the node's.
  private mutating func shape(
    _ element: ParquetMetadata.Element, _ definition: Int, _ repetition: Int, _ depth: Int
  ) throws(ParquetError) -> (shape: Shape, definition: Int?, repetition: Int?)? {
    guard element.childCount > 0 else {
      guard let type = element.type, (0...7).contains(type) else {
        // A structure without fields.
        guard element.type == nil, element.childCount == 0 else { throw .damaged("a column of no known type") }
        return nil
      }
      let column = columns.count
      columns.append(
        Column(type: type, isUnsigned: element.isUnsigned, definition: definition, repetition: repetition))
      let isDecimal = element.convertedType == 5 || element.logicalType == 5
      return type == 3 || type == 7 || isDecimal ? nil : (.leaf(column: column), nil, nil)
    }
    let isList = element.convertedType == 3 || element.logicalType == 3
    let isMap = element.convertedType == 1 || element.convertedType == 2 || element.logicalType == 2
    if (isList || isMap) && element.childCount == 1, let middle = elements.first, middle.repetition == 2 {
      return try isMap && middle.childCount == 2
        ? map(definition, repetition, depth) : list(element.name, definition, repetition, depth)
    }
    var fields: [Node] = []
    for _ in 0..<element.childCount {
      if let node = try node(definition: definition, repetition: repetition, depth: depth + 1) { fields.append(node) }
    }
    return fields.isEmpty ? nil : (.structure(fields), nil, nil)
  }

  /// The elements below a list: those of its middle level, or the middle level itself in files of older writers.
  private mutating func list(
    _ name: String, _ definition: Int, _ repetition: Int, _ depth: Int
  ) throws(ParquetError) -> (shape: Shape, definition: Int?, repetition: Int?)? {
    guard let middle = elements.first else { throw .damaged("its tree of columns is cut off") }
    let isElement =
      middle.childCount != 1 || middle.name == "array" || middle.name == name + "_tuple"
    guard isElement else {
      _ = elements.popFirst()
      guard let node = try node(definition: definition + 1, repetition: repetition + 1, depth: depth + 1) else {
        return nil
      }
      return (.list(node), definition + 1, repetition + 1)
    }
    guard let node = try node(definition: definition, repetition: repetition, depth: depth + 1),
      case .list(let element) = node.shape
    else { return nil }
    return (.list(element), definition + 1, repetition + 1)
  }

  private mutating func map(
    _ definition: Int, _ repetition: Int, _ depth: Int
  ) throws(ParquetError) -> (shape: Shape, definition: Int?, repetition: Int?)? {
    _ = elements.popFirst()
    let key = try node(definition: definition + 1, repetition: repetition + 1, depth: depth + 1)
    let value = try node(definition: definition + 1, repetition: repetition + 1, depth: depth + 1)
    guard let key, let value else { return nil }
    return (.map(key: key, value: value), definition + 1, repetition + 1)
  }
}

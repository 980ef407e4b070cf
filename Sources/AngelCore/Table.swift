/// Rows under headings, aligned: text to the left, columns of numbers to the right.
public struct Table: Sendable {
  /// On which side the cells of a column line up.
  public enum Alignment: Sendable { case left, right }

  private let headings: [String]
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  /// A table with one heading and alignment per column.
  public init(_ columns: [(heading: String, alignment: Alignment)]) {
    headings = columns.map(\.heading)
    alignments = columns.map(\.alignment)
  }

  public var isEmpty: Bool { rows.isEmpty }

  /// Adds a row; one cell per column.
  public mutating func append(_ cells: [String]) {
    precondition(cells.count == headings.count, "a row of \(cells.count) cells in a table of \(headings.count) columns")
    rows.append(cells)
  }

  /// The table's lines, headings first, without spaces at their ends.
  public var lines: [String] {
    var widths = headings.map { DisplayWidth.of($0) }
    for row in rows {
      for (column, cell) in row.enumerated() { widths[column] = max(widths[column], DisplayWidth.of(cell)) }
    }
    return ([headings] + rows).map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - DisplayWidth.of(cell))
        line += (column == 0 ? "" : "  ") + (alignments[column] == .right ? padding + cell : cell + padding)
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }
}

/// How many terminal cells a text takes.
public enum DisplayWidth {
  /// East Asian wide characters and emoji take two cells, combining marks none.
  public static func of(_ text: String) -> Int {
    text.reduce(0) { total, character in
      guard let scalar = character.unicodeScalars.first else { return total }
      return total + cells(scalar)
    }
  }

  private static func cells(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.value {
    case 0..<0x20, 0x7F: 0
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
      0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
      2
    default: 1
    }
  }
}

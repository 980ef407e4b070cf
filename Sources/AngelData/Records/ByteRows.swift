import AngelCore

/// The rows of a stream of bytes: a window of it is held, as long as the row at hand.
final class ByteRows {
  let stream: ByteStream
  private var cutter: any RowCutter
  private let format: RecordReader.Format
  private let separator: UInt8
  /// The names of a table's columns, once they are read.
  private var names: [String]?

  private var window = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
  private var filled = 0..<0
  private var isLast = false
  private var (line, column) = (1, 1)

  /// The longest row; a text is cut before it is.
  private static let rowLimit = 256 << 20

  init(_ stream: ByteStream, _ cutter: any RowCutter, _ format: RecordReader.Format, separator: UInt8) {
    self.stream = stream
    self.cutter = cutter
    self.format = format
    self.separator = separator
  }

  deinit { window.deallocate() }

  func next() throws(DataError) -> Record? {
    while let (cut, bytes, position) = try nextCut() {
      guard !isBlank(bytes) else { continue }
      let content: Record.Content
      switch format {
      case .text: content = .text(bytes)
      case .table:
        guard let names else {
          self.names = try columnNames(bytes)
          continue
        }
        content = .fields(bytes, names: names, separator: separator)
      default: content = .json(bytes)
      }
      return Record(content: content, path: stream.path, position: position, continues: cut.continues)
    }
    return nil
  }

  /// Of a table only an empty line: one of tabs is a row of empty fields.
  private func isBlank(_ bytes: [UInt8]) -> Bool {
    format == .table || format == .text ? bytes.isEmpty : bytes.allSatisfy(Space.holds)
  }

  private func columnNames(_ bytes: [UInt8]) throws(DataError) -> [String] {
    let names: [String]
    do { names = try TableRow.fields(bytes, separator: separator) } catch {
      throw .unusable(
        path: stream.path, reason: "its first row, the names of the columns, is wrong: \(error.reason)")
    }
    guard Set(names).count == names.count else {
      throw .unusable(
        path: stream.path, reason: "two columns have the same name; the first row must name every column once")
    }
    return names
  }

  /// The next row with a copy of its bytes and where it begins; nil at the end.
  private func nextCut() throws(DataError) -> (Cut, [UInt8], Record.Position)? {
    while true {
      let bytes = UnsafeRawBufferPointer(rebasing: window[filled])
      let cut: Cut?
      do throws(CutError) { cut = try cutter.next(bytes, isLast: isLast) } catch {
        throw .row(place: "\(stream.path):\(line)", reason: error.reason)
      }
      if let cut {
        let position = Record.Position.line(line, column: column)
        let row = Array(bytes[cut.row])
        consume(UnsafeRawBufferPointer(rebasing: bytes[..<cut.end]))
        return (cut, row, position)
      }
      guard !isLast else { return nil }
      try fill()
    }
  }

  private func consume(_ bytes: UnsafeRawBufferPointer) {
    for byte in bytes {
      column += 1
      if byte == UInt8(ascii: "\n") { (line, column) = (line + 1, 1) }
    }
    filled = (filled.lowerBound + bytes.count)..<filled.upperBound
  }

  /// More bytes behind those of the window.
  private func fill() throws(DataError) {
    if filled.lowerBound > 0, filled.count <= window.count / 2 {
      window.copyMemory(from: UnsafeRawBufferPointer(rebasing: window[filled]))
      filled = 0..<filled.count
    }
    if filled.upperBound == window.count { try grow() }
    let room = UnsafeMutableRawBufferPointer(rebasing: window[filled.upperBound...])
    let count = try stream.read(into: room)
    isLast = count == 0
    filled = filled.lowerBound..<(filled.upperBound + count)
  }

  private func grow() throws(DataError) {
    guard filled.count < Self.rowLimit else {
      throw .row(
        place: "\(stream.path):\(line)", reason: "a row of more than \(TextFormat.bytes(Self.rowLimit)) is not read")
    }
    let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * window.count, alignment: 64)
    larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: window[filled]))
    window.deallocate()
    window = larger
    filled = 0..<filled.count
  }
}

import AngelCore

/// A table of fields between commas, or between tabs where the first byte is odd, given in two pieces.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard count > 1, let bytes else { return 0 }
  let separator = UInt8(ascii: bytes[0] & 1 == 0 ? "," : "\t")
  let text = UnsafeRawBufferPointer(start: bytes + 1, count: count - 1)
  guard let whole = rows(text, first: text.count, separator) else { return 0 }
  // However the bytes come, the rows are the same.
  precondition(rows(text, first: Int(bytes[0]) % text.count, separator).map { $0 == whole } ?? false)
  for row in whole {
    guard let fields = try? TableRow.fields(row, separator: separator) else { continue }
    // What is parsed is written, parses again, and is the same.
    // By bytes: a mark that follows a quote joins it in one character.
    let quote = UInt8(ascii: "\"")
    let written = fields.map { field in [quote] + field.utf8.flatMap { $0 == quote ? [quote, quote] : [$0] } + [quote] }
    let again = try? TableRow.fields(Array(written.joined(separator: [separator])), separator: separator)
    precondition(
      again.map { zip($0, fields).allSatisfy { Array($0.utf8) == Array($1.utf8) } && $0.count == fields.count } ?? false
    )
  }
  return 0
}

/// The rows of `text`, of which the cutter sees `first` bytes first; nil where it refuses them.
private func rows(_ text: UnsafeRawBufferPointer, first: Int, _ separator: UInt8) -> [[UInt8]]? {
  var cutter = TableCutter(separator: separator)
  var (rows, start, end): ([[UInt8]], Int, Int) = ([], 0, first)
  while true {
    let window = UnsafeRawBufferPointer(rebasing: text[start..<end])
    do throws(CutError) {
      if let cut = try cutter.next(window, isLast: end == text.count) {
        precondition(cut.row.upperBound <= cut.end && cut.end <= window.count)
        rows.append(Array(window[cut.row]))
        start += cut.end
      } else if end == text.count {
        return rows
      } else {
        end = text.count
      }
    } catch { return nil }
  }
}

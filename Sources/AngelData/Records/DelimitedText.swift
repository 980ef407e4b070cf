import AngelCore

/// Rows of fields between commas or tabs under a row of names (RFC 4180); every value is a text.
struct DelimitedText: Sendable {
  private let separator: UInt8
  /// The names of the columns.
  let names: [String]
  /// Where the rows lie, the names left out.
  let rows: [Range<Int>]

  private static let quote = UInt8(ascii: "\"")

  /// - Parameter separator: a comma or a tab.
  init(_ bytes: UnsafeRawBufferPointer, separator: UInt8, path: String) throws(DataError) {
    self.separator = separator
    // A mark of the byte order is no part of the first name.
    let start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    var ranges = try Self.ranges(bytes, from: start, separator, path: path)
    guard let first = ranges.first else {
      (names, rows) = ([], [])
      return
    }
    ranges.removeFirst()
    do throws(FieldError) {
      names = try Self.fields(UnsafeRawBufferPointer(rebasing: bytes[first]), separator)
    } catch {
      throw .unusable(path: path, reason: "its first row, the names of the columns, is wrong: \(error.reason)")
    }
    guard Set(names).count == names.count else {
      throw .unusable(path: path, reason: "two columns have the same name; the first row must name every column once")
    }
    rows = ranges
  }

  /// The row that `bytes` hold, as an object; throws saying what is wrong with it.
  func row(_ bytes: UnsafeRawBufferPointer) throws(FieldError) -> JSONValue {
    let fields = try Self.fields(bytes, separator)
    guard fields.count == names.count else {
      throw FieldError(reason: "\(fields.count) fields, but the first row names \(names.count) columns")
    }
    return .object(JSONObject(zip(names, fields).map { ($0, .string($1)) }))
  }

  /// What is wrong with a row.
  struct FieldError: Error { let reason: String }

  /// Rows end with a line end that is not inside quotes; blank lines are left out.
  private static func ranges(
    _ bytes: UnsafeRawBufferPointer, from start: Int, _ separator: UInt8, path: String
  ) throws(DataError) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var (begin, isQuoted) = (start, false)
    func add(_ end: Int) {
      let last = end > begin && bytes[end - 1] == UInt8(ascii: "\r") ? end - 1 : end
      if last > begin { ranges.append(begin..<last) }
    }
    // A quote means something only in a field that begins with one, as in `fields`.
    var (isStart, isQuotedField) = (true, false)
    for place in start..<bytes.count {
      let byte = bytes[place]
      if isStart { isQuotedField = byte == quote }
      if isQuotedField, byte == quote { isQuoted.toggle() }
      isStart = !isQuoted && (byte == separator || byte == UInt8(ascii: "\n"))
      guard byte == UInt8(ascii: "\n"), !isQuoted else { continue }
      add(place)
      begin = place + 1
    }
    guard !isQuoted else { throw .unusable(path: path, reason: "a quote that opens a field is never closed") }
    add(bytes.count)
    return ranges
  }

  private static func fields(
    _ bytes: UnsafeRawBufferPointer, _ separator: UInt8
  ) throws(FieldError) -> [String] {
    var fields: [String] = []
    var place = 0
    while true {
      var field: [UInt8] = []
      if place < bytes.count, bytes[place] == quote {
        place += 1
        while true {
          guard place < bytes.count else { throw FieldError(reason: "a quote that opens a field is never closed") }
          if bytes[place] == quote {
            // Two quotes stand for one.
            guard place + 1 < bytes.count, bytes[place + 1] == quote else { break }
            place += 1
          }
          field.append(bytes[place])
          place += 1
        }
        place += 1
        guard place == bytes.count || bytes[place] == separator else {
          throw FieldError(reason: "text after the quote that closes a field")
        }
      } else {
        while place < bytes.count, bytes[place] != separator {
          field.append(bytes[place])
          place += 1
        }
      }
      fields.append(String(decoding: field, as: UTF8.self))
      guard place < bytes.count else { return fields }
      place += 1
    }
  }
}

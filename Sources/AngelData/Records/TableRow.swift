import AngelCore

/// The fields of a table's row (RFC 4180); every value is a text.
enum TableRow {
  /// What is wrong with a row.
  struct FieldError: Error { let reason: String }

  /// The row that `bytes` hold, as an object.
  static func object(
    _ bytes: [UInt8], names: [String], separator: UInt8
  ) throws(FieldError) -> JSONValue {
    let fields = try fields(bytes, separator: separator)
    guard fields.count == names.count else {
      throw FieldError(reason: "\(fields.count) fields, but the first row names \(names.count) columns")
    }
    return .object(JSONObject(zip(names, fields).map { ($0, .string($1)) }))
  }

  static func fields(_ bytes: [UInt8], separator: UInt8) throws(FieldError) -> [String] {
    var fields: [String] = []
    var place = 0
    while true {
      let field: [UInt8]
      if place < bytes.count, bytes[place] == UInt8(ascii: "\"") {
        field = try quoted(bytes, &place)
        guard place == bytes.count || bytes[place] == separator else {
          throw FieldError(reason: "text after the quote that closes a field")
        }
      } else {
        let end = bytes[place...].firstIndex(of: separator) ?? bytes.count
        field = Array(bytes[place..<end])
        place = end
      }
      fields.append(String(decoding: field, as: UTF8.self))
      guard place < bytes.count else { return fields }
      place += 1
    }
  }

  /// A field between quotes; `place` goes behind the one that closes it.
  private static func quoted(_ bytes: [UInt8], _ place: inout Int) throws(FieldError) -> [UInt8] {
    var field: [UInt8] = []
    place += 1
    while place < bytes.count {
      if bytes[place] == UInt8(ascii: "\"") {
        place += 1
        // Two quotes stand for one.
        guard place < bytes.count, bytes[place] == UInt8(ascii: "\"") else { return field }
      }
      field.append(bytes[place])
      place += 1
    }
    throw FieldError(reason: "a quote that opens a field is never closed")
  }
}

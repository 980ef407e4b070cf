import AngelCore

/// A request's body after its check: what is asked for has the kind that was declared.
struct RequestBody: Sendable {
  private let object: JSONObject
  /// Fields that have no effect.
  let ignored: [String]

  static let empty = RequestBody()

  private init() {
    object = JSONObject()
    ignored = []
  }

  /// Reads and checks a body: JSON in UTF-8, at most 64 levels deep, no key twice, every field known.
  init(_ bytes: [UInt8], _ fields: [RequestField]) throws(APIError) {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(parsing: bytes, maximumDepth: 64, refusingEqualKeys: true)
    } catch {
      throw .badBody(error.description)
    }
    guard case .object(let object) = value else { throw .badBody("it is \(value.kind), not an object") }
    self.object = object
    var ignored: [String] = []
    try FieldKind.check(object, fields, "", &ignored)
    self.ignored = ignored
  }

  subscript(name: String) -> JSONValue? {
    guard let value = object[name], !value.isNull else { return nil }
    return value
  }

  func string(_ name: String) -> String? { self[name]?.string }
  func integer(_ name: String) -> Int? { self[name]?.integer }
  func number(_ name: String) -> Float? { self[name]?.double.map { Float($0) } }
  func flag(_ name: String) -> Bool? { if case .bool(let value)? = self[name] { value } else { nil } }
  func array(_ name: String) -> [JSONValue]? { self[name]?.array }
  func object(_ name: String) -> JSONObject? { self[name]?.object }

  /// A string, or several.
  func strings(_ name: String) -> [String] {
    switch self[name] {
    case .string(let text)?: [text]
    case .array(let values)?: values.compactMap(\.string)
    default: []
    }
  }
}

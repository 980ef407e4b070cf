import AngelCore

/// A field of a request's body: one declaration checks it, describes it in /openapi.json and says what becomes of it.
struct RequestField: Sendable {
  let name: String
  let kind: FieldKind
  var isRequired = false
  var support = Support.honoured
  /// What it does, in one line of the description.
  let help: String

  /// What becomes of a field that is known.
  enum Support: Sendable {
    case honoured
    /// Taken, but without an effect; the answer says so in a `warning` header. The reason, in words.
    case withoutEffect(String)
    /// Refused unless it has one of these values, which mean what is done anyway. The reason, in words.
    case refused(String, unless: [JSONValue])
  }

  init(_ name: String, _ kind: FieldKind, isRequired: Bool = false, _ help: String) {
    self.name = name
    self.kind = kind
    self.isRequired = isRequired
    self.help = help
  }

  /// A field of the interface that has no effect here.
  static func withoutEffect(_ name: String, _ kind: FieldKind, _ reason: String) -> RequestField {
    var field = RequestField(name, kind, reason)
    field.support = .withoutEffect(reason)
    return field
  }

  /// A field of the interface that is not supported, but for values that ask for nothing.
  static func refused(_ name: String, _ reason: String, unless values: [JSONValue] = []) -> RequestField {
    var field = RequestField(name, values.isEmpty ? .nothing : .fixed(values), "not supported: \(reason)")
    field.support = .refused(reason, unless: values)
    return field
  }
}

/// What values a field may have.
indirect enum FieldKind: Sendable {
  case boolean
  case integer(ClosedRange<Int>)
  case number(ClosedRange<Double>)
  case string
  case choice([String])
  case array(FieldKind, ClosedRange<Int>)
  case object([RequestField])
  /// An object of one of several sorts, told apart by its `type`; one without is of the first where that may be left out.
  case variants([ObjectVariant], mayLackType: Bool = false)
  /// An object whose keys are the client's.
  case map(FieldKind, limit: Int)
  case oneOf([FieldKind])
  case anyObject
  case fixed([JSONValue])
  case nothing
}

/// One sort of object: what its `type` says, and its other fields.
struct ObjectVariant: Sendable {
  let type: String
  private let others: [RequestField]
  /// Why it is not supported; nil: it is.
  private(set) var refusal: String?

  init(_ type: String, _ others: [RequestField] = []) {
    self.type = type
    self.others = others
  }

  /// A sort of the interface that is not supported. The reason, in words.
  static func refused(_ type: String, _ reason: String) -> ObjectVariant {
    var variant = ObjectVariant(type)
    variant.refusal = reason
    return variant
  }

  func fields(mayLackType: Bool) -> [RequestField] {
    [RequestField("type", .choice([type]), isRequired: !mayLackType, "tells what it is")] + others
  }
}

extension FieldKind {
  /// What is expected, in words.
  var words: String {
    switch self {
    case .boolean: "true or false"
    case .integer(let range):
      "an integer" + Self.bounds("\(range.lowerBound)", range.upperBound == .max ? nil : "\(range.upperBound)")
    case .number(let range):
      "a number"
        + Self.bounds(Self.short(range.lowerBound), range.upperBound == .infinity ? nil : Self.short(range.upperBound))
    case .string: "a string"
    case .choice(let names): names.map { "'\($0)'" }.joined(separator: " or ")
    case .array(let kind, let range):
      "an array of \(range.lowerBound > 0 ? "at least \(range.lowerBound)" : "") values, each \(kind.words)"
        .replacingDoubleSpaces
    case .object, .variants, .map, .anyObject: "an object"
    case .oneOf(let kinds): kinds.map(\.words).joined(separator: ", or ")
    case .fixed(let values): values.map { $0.encoded() }.joined(separator: " or ")
    case .nothing: "left out"
    }
  }

  private static func bounds(_ low: String, _ high: String?) -> String {
    high.map { " from \(low) to \($0)" } ?? " of at least \(low)"
  }

  private static func short(_ value: Double) -> String { Int(exactly: value).map { "\($0)" } ?? "\(value)" }

  /// Whether this is a kind without parts, and the value is of it.
  private func isPlainly(_ value: JSONValue) -> Bool {
    switch (self, value) {
    case (.boolean, .bool), (.string, .string), (.anyObject, .object): true
    case (.integer(let range), _): value.integer.map(range.contains) == true
    case (.number(let range), _): value.double.map(range.contains) == true
    case (.choice(let names), .string(let text)): names.contains(text)
    case (.fixed(let values), _): values.contains(value)
    default: false
    }
  }

  /// Throws `APIError` naming `path` where the value is not of this kind. Null counts as left out inside objects. What has no
  /// effect is added to `ignored`.
  func check(_ value: JSONValue, _ path: String, _ ignored: inout [String]) throws(APIError) {
    if isPlainly(value) { return }
    switch (self, value) {
    case (.array(let kind, let range), .array(let values)):
      guard range.contains(values.count) else {
        throw .invalid(path, "has \(values.count) values: it must have from \(range.lowerBound) to \(range.upperBound)")
      }
      // Prompts are long arrays of numbers: only what is wrong, or has parts, needs a path.
      for (index, value) in values.enumerated() where !kind.isPlainly(value) {
        try kind.check(value, "\(path)[\(index)]", &ignored)
      }
    case (.object(let fields), .object(let object)): try Self.check(object, fields, path + ".", &ignored)
    case (.variants(let variants, let mayLackType), .object(let object)):
      try Self.check(object, among: variants, mayLackType, path, &ignored)
    case (.map(let kind, let limit), .object(let object)):
      guard object.members.count <= limit else {
        throw .invalid(path, "has \(object.members.count) entries: it may have \(limit)")
      }
      for member in object.members { try kind.check(member.value, "\(path).\(member.key.prefix(40))", &ignored) }
    case (.oneOf(let kinds), _): try Self.checkAny(kinds, value, path, words, &ignored)
    default:
      let shown = value.encoded()
      let found = shown.utf8.count <= 40 ? shown : value.kind
      throw .invalid(path, "must be \(words), not \(found)", code: "invalid_type")
    }
  }

  private static func check(
    _ object: JSONObject, among variants: [ObjectVariant], _ mayLackType: Bool, _ path: String,
    _ ignored: inout [String]
  ) throws(APIError) {
    let type = object["type"] ?? .null
    let found = variants.enumerated().first { index, variant in
      type.isNull ? mayLackType && index == 0 : type == .string(variant.type)
    }
    guard let variant = found?.element else {
      let kind = FieldKind.choice(variants.filter { $0.refusal == nil }.map(\.type))
      if type.isNull {
        throw .missing(path + ".type", kind: kind)
      }
      return try kind.check(type, path + ".type", &ignored)
    }
    if let reason = variant.refusal {
      throw APIError(
        status: 400, "'\(path)' is of type '\(variant.type)', which is not supported: \(reason)",
        parameter: path + ".type", code: "unsupported_parameter")
    }
    try check(object, variant.fields(mayLackType: mayLackType), path + ".", &ignored)
  }

  /// The error of the one kind that the value's form belongs to tells most.
  private static func checkAny(
    _ kinds: [FieldKind], _ value: JSONValue, _ path: String, _ words: String, _ ignored: inout [String]
  ) throws(APIError) {
    var inside: APIError?
    for kind in kinds {
      do throws(APIError) {
        return try kind.check(value, path, &ignored)
      } catch {
        if error.parameter != path || inside == nil, error.code != "invalid_type" || error.parameter != path {
          inside = error
        }
      }
    }
    throw inside ?? .invalid(path, "must be \(words), not \(value.kind)", code: "invalid_type")
  }

  /// Checks an object's members, whose names follow `prefix` in errors; the paths of those that have no effect are added to
  /// `ignored`.
  static func check(
    _ object: JSONObject, _ fields: [RequestField], _ prefix: String, _ ignored: inout [String]
  ) throws(APIError) {
    for member in object.members {
      let path = prefix + member.key
      guard let field = fields.first(where: { $0.name == member.key }) else {
        let question = Suggestion.question(for: member.key, among: fields.map(\.name))
        throw APIError(
          status: 400, "unknown field '\(path.prefix(80))'\(question)", parameter: String(path.prefix(80)),
          code: "unknown_parameter")
      }
      if member.value.isNull, !field.isRequired { continue }
      switch field.support {
      case .honoured: try field.kind.check(member.value, path, &ignored)
      case .withoutEffect:
        try field.kind.check(member.value, path, &ignored)
        if ignored.count < 16 { ignored.append(path) }
      case .refused(let reason, let values):
        guard values.contains(member.value) else {
          throw APIError(
            status: 400, "'\(path)' is not supported: \(reason)", parameter: path, code: "unsupported_parameter")
        }
      }
    }
    for field in fields where field.isRequired && object[field.name] == nil {
      throw .missing(prefix + field.name, kind: field.kind)
    }
  }
}

extension String {
  fileprivate var replacingDoubleSpaces: String {
    split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
  }
}

import CYAML

/// Reads recipes: one YAML document (libyaml), with limits on size and depth.
///
/// Anchors, aliases and tags are refused: a recipe says each thing once, and aliases are how small YAML files become huge.
public enum RecipeParser {
  /// No recipe of a person is larger; the bound keeps a mistaken path from being read into memory.
  public static let byteLimit = 1 << 20
  private static let depthLimit = 32

  /// The recipe in the file at `path`.
  public static func parse(path: String) throws -> RecipeNode {
    let file = try MappedFile(path: path)
    guard file.byteCount <= byteLimit else {
      throw ConfigurationError("\(quoted(path)) has \(file.byteCount) bytes; a recipe has at most \(byteLimit)")
    }
    return try parse(file.withBytes(0..<file.byteCount) { Array($0) }) { line, column in
      .file(path: path, line: line, column: column)
    }
  }

  /// The recipe in `text`; `origin` says where a line and a column (from 1) of it are.
  public static func parse(
    _ text: [UInt8], origin: @escaping (_ line: Int, _ column: Int) -> RecipeOrigin
  ) throws -> RecipeNode {
    let events = try EventStream(text, origin: origin)
    try events.expect(YAML_STREAM_START_EVENT)
    var event = try events.next()
    guard event.type == YAML_DOCUMENT_START_EVENT else {
      throw ConfigurationError("the recipe at \(origin(1, 1)) is empty")
    }
    let node = try node(startingWith: events.next(), events, depth: 0)
    try events.expect(YAML_DOCUMENT_END_EVENT)
    event = try events.next()
    guard event.type == YAML_STREAM_END_EVENT else {
      throw ConfigurationError("a second document begins at \(event.origin); a recipe is one")
    }
    return node
  }

  private static func node(startingWith event: Event, _ events: EventStream, depth: Int) throws -> RecipeNode {
    guard depth < depthLimit else { throw ConfigurationError("\(event.origin): nested more than \(depthLimit) deep") }
    guard !event.isMarked else {
      throw ConfigurationError("\(event.origin): anchors, aliases and tags are not supported; write the value out")
    }
    switch event.type {
    case YAML_SCALAR_EVENT:
      return RecipeNode(event.isPlain ? plain(event.text) : .string(event.text), origin: event.origin)
    case YAML_SEQUENCE_START_EVENT:
      var nodes: [RecipeNode] = []
      while case let next = try events.next(), next.type != YAML_SEQUENCE_END_EVENT {
        nodes.append(try node(startingWith: next, events, depth: depth + 1))
      }
      return RecipeNode(.list(nodes), origin: event.origin)
    case YAML_MAPPING_START_EVENT:
      return RecipeNode(.map(try entries(events, depth: depth)), origin: event.origin)
    default:
      throw ConfigurationError("\(event.origin): a value was expected")
    }
  }

  private static func entries(_ events: EventStream, depth: Int) throws -> [RecipeNode.Entry] {
    var entries: [RecipeNode.Entry] = []
    while case let key = try events.next(), key.type != YAML_MAPPING_END_EVENT {
      guard key.type == YAML_SCALAR_EVENT, !key.isMarked else {
        throw ConfigurationError("\(key.origin): a key must be a word")
      }
      guard !entries.contains(where: { $0.key == key.text }) else {
        throw ConfigurationError("\(key.origin): the key \(quoted(key.text)) is written twice")
      }
      let value = try node(startingWith: events.next(), events, depth: depth + 1)
      entries.append(.init(key: key.text, origin: key.origin, value: value))
    }
    return entries
  }

  /// A scalar without quotes, by the YAML 1.2 core schema; numbers may be grouped by underscores, as `1_000_000`.
  static func plain(_ text: String) -> RecipeNode.Content {
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "True", "TRUE": return .bool(true)
    case "false", "False", "FALSE": return .bool(false)
    default: break
    }
    guard let first = text.utf8.first, "+-.0123456789".utf8.contains(first) else { return .string(text) }
    let digits = text.filter { $0 != "_" }
    if let integer = Int(digits) { return .integer(integer) }
    // Double reads hexadecimal and names too, which YAML does not mean.
    let isDecimal = digits.utf8.allSatisfy { "+-.0123456789eE".utf8.contains($0) }
    if isDecimal, let number = Double(digits), number.isFinite { return .number(number) }
    return .string(text)
  }
}

/// An event of libyaml as a value.
private struct Event {
  var type: yaml_event_type_t
  var text = ""
  var isPlain = false
  /// Whether it has an anchor or a tag, or is an alias.
  var isMarked = false
  var origin: RecipeOrigin
}

/// The events of one YAML text, in order.
private final class EventStream {
  private let bytes: [UInt8]
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let origin: (Int, Int) -> RecipeOrigin

  init(_ bytes: [UInt8], origin: @escaping (Int, Int) -> RecipeOrigin) throws {
    self.bytes = bytes
    self.origin = origin
    parser = .allocate(capacity: 1)
    guard yaml_parser_initialize(parser) == 1 else {
      parser.deallocate()
      throw ConfigurationError("no memory to read a recipe with")
    }
    bytes.withUnsafeBufferPointer { buffer in
      // The array outlives the parser and is never changed, so its storage stays where it is.
      yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
    }
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
  }

  func next() throws -> Event {
    var raw = yaml_event_t()
    let isRead = bytes.withUnsafeBufferPointer { _ in yaml_parser_parse(parser, &raw) == 1 }
    guard isRead else { throw failure() }
    defer { yaml_event_delete(&raw) }
    let mark = raw.start_mark
    var event = Event(type: raw.type, origin: origin(Int(mark.line) + 1, Int(mark.column) + 1))
    switch raw.type {
    case YAML_SCALAR_EVENT:
      let scalar = raw.data.scalar
      event.text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
      event.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
      event.isMarked = scalar.anchor != nil || scalar.tag != nil
    case YAML_SEQUENCE_START_EVENT:
      event.isMarked = raw.data.sequence_start.anchor != nil || raw.data.sequence_start.tag != nil
    case YAML_MAPPING_START_EVENT:
      event.isMarked = raw.data.mapping_start.anchor != nil || raw.data.mapping_start.tag != nil
    case YAML_ALIAS_EVENT: event.isMarked = true
    default: break
    }
    return event
  }

  func expect(_ type: yaml_event_type_t) throws {
    let event = try next()
    guard event.type == type else { throw ConfigurationError("\(event.origin): not expected here") }
  }

  private func failure() -> ConfigurationError {
    let mark = parser.pointee.problem_mark
    let reason = parser.pointee.problem.map { String(cString: $0) } ?? "it is not YAML"
    return ConfigurationError("\(origin(Int(mark.line) + 1, Int(mark.column) + 1)): \(reason)")
  }
}

/// Reads Thrift's compact protocol, in which Parquet writes its footer and page headers.
///
/// Source: the Apache Thrift specification, "Thrift Compact protocol encoding".
struct ThriftReader {
  private let bytes: [UInt8]
  /// Where the next byte stands.
  private(set) var position: Int

  init(_ bytes: [UInt8], at position: Int = 0) {
    self.bytes = bytes
    self.position = position
  }

  /// Types of fields and elements, by their numbers.
  enum Kind: UInt8 {
    case yes = 1
    case no, byte, short, int, long, double, binary, list, set, map, structure
  }

  /// The deepest nesting that is followed: Parquet's own structures need six.
  private static let depthLimit = 16

  /// Calls `body` with each field of a structure; a field for which it reads nothing and returns false is skipped.
  mutating func fields(
    _ body: (inout ThriftReader, _ id: Int, _ kind: Kind) throws(ParquetError) -> Bool
  ) throws(ParquetError) {
    var id = 0
    while let kind = try fieldHeader(&id) {
      if try !body(&self, id, kind) { try skip(kind, depth: 0) }
    }
  }

  /// A whole number of any width.
  mutating func integer() throws(ParquetError) -> Int {
    try Varint.readSigned(bytes[...], at: &position)
  }

  mutating func binary() throws(ParquetError) -> ArraySlice<UInt8> {
    let count = try size(of: "a text")
    defer { position += count }
    return bytes[position..<(position + count)]
  }

  mutating func text() throws(ParquetError) -> String { String(decoding: try binary(), as: UTF8.self) }

  /// The elements of a list of structures or texts, at most `limit`.
  mutating func list<Element>(
    limit: Int, _ element: (inout ThriftReader) throws(ParquetError) -> Element
  ) throws(ParquetError) -> [Element] {
    let (_, count) = try listHeader()
    guard count <= limit else { throw .damaged("a list of \(count), where \(limit) is the most") }
    var elements: [Element] = []
    for _ in 0..<count { elements.append(try element(&self)) }
    return elements
  }

  // MARK: Parts

  private mutating func byte() throws(ParquetError) -> UInt8 {
    guard position < bytes.count else { throw .damaged("its description is cut off") }
    defer { position += 1 }
    return bytes[position]
  }

  /// A count of bytes or of elements, each of which takes a byte at least.
  private mutating func size(of what: String) throws(ParquetError) -> Int {
    let value = try Varint.read(bytes[...], at: &position)
    guard value <= UInt64(bytes.count - position) else { throw .damaged("\(what) of \(value) bytes") }
    return Int(value)
  }

  private mutating func kind(_ number: UInt8) throws(ParquetError) -> Kind {
    guard let kind = Kind(rawValue: number) else { throw .damaged("a field of the unknown type \(number)") }
    return kind
  }

  /// The type of the next field; nil at the end of the structure.
  private mutating func fieldHeader(_ id: inout Int) throws(ParquetError) -> Kind? {
    let header = try byte()
    guard header & 0x0F != 0 else { return nil }
    if header >> 4 == 0 {
      let next = try integer()
      guard (0...Int(Int16.max)).contains(next) else { throw .damaged("a field of the number \(next)") }
      id = next
    } else {
      id += Int(header >> 4)
    }
    return try kind(header & 0x0F)
  }

  private mutating func listHeader() throws(ParquetError) -> (Kind, count: Int) {
    let header = try byte()
    let count = header >> 4 == 15 ? try size(of: "a list") : Int(header >> 4)
    return (try kind(header & 0x0F), count)
  }

  private mutating func skip(_ kind: Kind, depth: Int) throws(ParquetError) {
    guard depth < Self.depthLimit else { throw .damaged("its description is nested too deeply") }
    switch kind {
    case .yes, .no: break
    case .byte: _ = try byte()
    case .short, .int, .long: _ = try integer()
    case .double:
      guard bytes.count - position >= 8 else { throw .damaged("its description is cut off") }
      position += 8
    case .binary: _ = try binary()
    case .list, .set:
      let (element, count) = try listHeader()
      for _ in 0..<count { try skipElement(element, depth: depth + 1) }
    case .map:
      let count = try size(of: "a map")
      guard count > 0 else { return }
      let kinds = try byte()
      let (key, value) = (try self.kind(kinds >> 4), try self.kind(kinds & 0x0F))
      for _ in 0..<count {
        try skipElement(key, depth: depth + 1)
        try skipElement(value, depth: depth + 1)
      }
    case .structure:
      var id = 0
      while let kind = try fieldHeader(&id) { try skip(kind, depth: depth + 1) }
    }
  }

  /// Of a field the header holds a truth value, of an element a byte of its own does.
  private mutating func skipElement(_ kind: Kind, depth: Int) throws(ParquetError) {
    if kind == .yes || kind == .no { _ = try byte() } else { try skip(kind, depth: depth) }
  }
}

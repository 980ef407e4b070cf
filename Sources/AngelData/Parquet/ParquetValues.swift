import AngelCore

/// The values of a page, one after the other, as JSON.
struct ParquetValues {
  private enum Source {
    case plain
    case truth(HybridDecoder)
    case dictionary(HybridDecoder, [JSONValue])
    case numbers(DeltaDecoder)
    /// Texts one after the other, their lengths before them.
    case texts(lengths: DeltaDecoder)
    /// The same, each beginning with a part of the one before.
    case prefixed(prefixes: DeltaDecoder, lengths: DeltaDecoder)
  }

  private let column: ParquetSchema.Column
  private let bytes: [UInt8]
  private var position: Int
  /// Truth values of the plain encoding are bits.
  private var bit = 0
  private var previous: [UInt8] = []
  /// Bytes that texts which begin with those before them may still have: two bytes could stand for a page each.
  private var textLeft = ParquetCodec.pageLimit
  private var source: Source

  /// - Parameter start: where the values begin in `bytes`.
  init(
    _ bytes: [UInt8], from start: Int, column: ParquetSchema.Column, encoding: Int, dictionary: [JSONValue]?
  ) throws(ParquetError) {
    self.column = column
    self.bytes = bytes
    position = start
    let all = start..<bytes.count
    switch encoding {
    case 0: source = .plain
    case 2, 8:
      guard let dictionary else { throw .damaged("indices without a dictionary") }
      // A page of nothing but missing values may lack the width.
      let width = start < bytes.count ? Int(bytes[start]) : 0
      let indices = min(start + 1, bytes.count)..<bytes.count
      source = .dictionary(try HybridDecoder(bytes, indices, width: width), dictionary)
    case 3 where column.type == 0:
      guard all.count >= 4 else { throw .damaged("a page is cut off") }
      let count = Self.number(bytes, at: start, bytes: 4)
      guard count <= UInt64(all.count - 4) else { throw .damaged("a page is cut off") }
      let range = (start + 4)..<(start + 4 + Int(count))
      source = .truth(try HybridDecoder(bytes, range, width: 1))
    case 5 where column.type == 1 || column.type == 2: source = .numbers(try DeltaDecoder(bytes, all))
    case 6 where column.type == 6:
      let (lengths, end) = try Self.lengths(bytes, all)
      (source, position) = (.texts(lengths: lengths), end)
    case 7 where column.type == 6:
      let (prefixes, middle) = try Self.lengths(bytes, all)
      let (lengths, end) = try Self.lengths(bytes, middle..<bytes.count)
      (source, position) = (.prefixed(prefixes: prefixes, lengths: lengths), end)
    default:
      throw .unread("the encoding \(encoding)", "write the file with plain, dictionary or delta encodings")
    }
  }

  /// A decoder of lengths, and where the bytes after all of them stand.
  private static func lengths(
    _ bytes: [UInt8], _ range: Range<Int>
  ) throws(ParquetError) -> (DeltaDecoder, end: Int) {
    let decoder = try DeltaDecoder(bytes, range)
    return (decoder, try decoder.endOfValues())
  }

  mutating func next() throws(ParquetError) -> JSONValue {
    switch source {
    case .plain: return try plain()
    case .truth(var decoder):
      defer { source = .truth(decoder) }
      return .bool(try decoder.next() != 0)
    case .dictionary(var decoder, let values):
      let index = Int(try decoder.next())
      source = .dictionary(decoder, values)
      guard index < values.count else { throw .damaged("entry \(index) of a dictionary of \(values.count)") }
      return values[index]
    case .numbers(var decoder):
      let number = try decoder.next()
      source = .numbers(decoder)
      // 32-bit columns count modulo 2^32.
      return whole(column.type == 1 ? Int(Int32(truncatingIfNeeded: number)) : number)
    case .texts(var decoder):
      let count = try decoder.next()
      source = .texts(lengths: decoder)
      return .string(String(decoding: try take(count), as: UTF8.self))
    case .prefixed(var prefixes, var lengths):
      let (kept, count) = (try prefixes.next(), try lengths.next())
      source = .prefixed(prefixes: prefixes, lengths: lengths)
      guard (0...previous.count).contains(kept) else { throw .damaged("a text that begins with more than there is") }
      previous.removeLast(previous.count - kept)
      previous += try take(count)
      textLeft -= previous.count
      guard textLeft >= 0 else {
        throw .unread(
          "a page whose texts take more than \(TextFormat.bytes(ParquetCodec.pageLimit))", "write smaller pages")
      }
      return .string(String(decoding: previous, as: UTF8.self))
    }
  }

  private mutating func plain() throws(ParquetError) -> JSONValue {
    switch column.type {
    case 0:
      guard position + bit / 8 < bytes.count else { throw .damaged("a page has fewer values than it says") }
      defer { bit += 1 }
      return .bool(bytes[position + bit / 8] >> UInt8(bit % 8) & 1 != 0)
    case 1: return whole(Int(Int32(truncatingIfNeeded: try number(bytes: 4))))
    case 2: return whole(Int(Int64(bitPattern: try number(bytes: 8))))
    case 4: return .number(Double(Float(bitPattern: UInt32(truncatingIfNeeded: try number(bytes: 4)))))
    case 5: return .number(Double(bitPattern: try number(bytes: 8)))
    default:
      let count = try number(bytes: 4)
      return .string(String(decoding: try take(Int(count)), as: UTF8.self))
    }
  }

  private func whole(_ value: Int) -> JSONValue {
    guard column.isUnsigned, value < 0 else { return .integer(value) }
    return column.type == 1 ? .integer(value & 0xFFFF_FFFF) : .number(Double(UInt(bitPattern: value)))
  }

  private mutating func take(_ count: Int) throws(ParquetError) -> ArraySlice<UInt8> {
    guard count >= 0, count <= bytes.count - position else { throw .damaged("a text reaches beyond its page") }
    defer { position += count }
    return bytes[position..<(position + count)]
  }

  private mutating func number(bytes count: Int) throws(ParquetError) -> UInt64 {
    guard count <= bytes.count - position else { throw .damaged("a page has fewer values than it says") }
    defer { position += count }
    return Self.number(bytes, at: position, bytes: count)
  }

  static func number(_ bytes: [UInt8], at place: Int, bytes count: Int) -> UInt64 {
    (0..<count).reduce(0) { $0 | UInt64(bytes[place + $1]) << UInt64(8 * $1) }
  }
}

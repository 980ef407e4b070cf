/// Parquet files by hand, for what no writer makes.
enum ParquetBytes {
  /// A column of one chunk.
  struct Column {
    var name = "text"
    /// 6: bytes.
    var type = 6
    /// 0 required, 1 optional, 2 repeated.
    var repetition = 0
    var codec = 0
    var valueCount: Int
    var pages: [[UInt8]]
  }

  /// A file of one row group.
  static func file(_ columns: [Column], rows: Int) -> [UInt8] {
    var bytes = magic
    let chunks = columns.map { column in
      let start = bytes.count
      bytes += column.pages.joined()
      return Thrift.structure {
        $0.structure(3) {
          $0.integer(4, column.codec)
          $0.integer(5, column.valueCount, isLong: true)
          $0.integer(7, bytes.count - start, isLong: true)
          $0.integer(9, start, isLong: true)
        }
      }
    }
    let group = Thrift.structure {
      $0.list(1, chunks)
      $0.integer(3, rows, isLong: true)
    }
    return closed(bytes, columns, groups: [group])
  }

  /// `bytes` with the footer.
  static func closed(_ bytes: [UInt8], _ columns: [Column], groups: [[UInt8]]) -> [UInt8] {
    let root = Thrift.structure {
      $0.text(4, "schema")
      $0.integer(5, columns.count)
    }
    let leaves = columns.map { column in
      Thrift.structure {
        $0.integer(1, column.type)
        $0.integer(3, column.repetition)
        $0.text(4, column.name)
      }
    }
    let footer = Thrift.structure {
      $0.list(2, [root] + leaves)
      $0.list(4, groups)
    }
    return bytes + footer + withUnsafeBytes(of: UInt32(footer.count).littleEndian, Array.init) + magic
  }

  /// A page of version 1 (type 0) or a dictionary (type 2), not packed.
  static func page(type: Int = 0, count: Int, encoding: Int = 0, _ body: [UInt8]) -> [UInt8] {
    Thrift.structure {
      $0.integer(1, type)
      $0.integer(2, body.count)
      $0.integer(3, body.count)
      $0.structure(type == 2 ? 7 : 5) {
        $0.integer(1, count)
        $0.integer(2, encoding)
        if type == 0 {
          $0.integer(3, 3)
          $0.integer(4, 3)
        }
      }
    } + body
  }

  /// A page of version 2 whose values, packed or not, are `body`.
  static func page2(count: Int, definitions: [UInt8], size: Int, _ body: [UInt8]) -> [UInt8] {
    Thrift.structure {
      $0.integer(1, 3)
      $0.integer(2, definitions.count + size)
      $0.integer(3, definitions.count + body.count)
      $0.structure(8) {
        $0.integer(1, count)
        $0.integer(4, 0)
        $0.integer(5, definitions.count)
        $0.integer(6, 0)
      }
    } + definitions + body
  }

  /// `count` times `value`, of at most eight bits.
  static func run(_ count: Int, of value: UInt8) -> [UInt8] { varint(UInt64(count) << 1) + [value] }

  /// Levels as version 1 has them.
  static func levels(_ runs: [UInt8]) -> [UInt8] { text(runs) }

  /// A text of the plain encoding.
  static func text(_ bytes: [UInt8]) -> [UInt8] {
    withUnsafeBytes(of: UInt32(bytes.count).littleEndian, Array.init) + bytes
  }

  /// `count` numbers from `first` on, each `step` above the one before, in blocks of 4096; of the blocks `blocks` are there.
  static func series(_ count: Int, from first: Int, step: Int, blocks: Int? = nil) -> [UInt8] {
    let head = varint(4096) + varint(1) + varint(UInt64(count)) + zigzag(first)
    return head + [[UInt8]](repeating: zigzag(step) + [0], count: blocks ?? (count + 4094) / 4096).joined()
  }

  fileprivate static func varint(_ value: UInt64) -> [UInt8] {
    value < 0x80 ? [UInt8(value)] : [UInt8(value & 0x7F) | 0x80] + varint(value >> 7)
  }

  fileprivate static func zigzag(_ value: Int) -> [UInt8] {
    varint(UInt64(bitPattern: Int64(value << 1 ^ value >> 63)))
  }

  private static let magic = Array("PAR1".utf8)
}

/// The fields of a structure in Thrift's compact protocol.
private struct Thrift {
  private var bytes: [UInt8] = []
  private var last = 0

  static func structure(_ body: (inout Thrift) -> Void) -> [UInt8] {
    var fields = Thrift()
    body(&fields)
    return fields.bytes + [0]
  }

  mutating func integer(_ id: Int, _ value: Int, isLong: Bool = false) {
    begin(id, isLong ? 6 : 5)
    bytes += ParquetBytes.zigzag(value)
  }

  mutating func text(_ id: Int, _ text: String) {
    begin(id, 8)
    bytes += ParquetBytes.varint(UInt64(text.utf8.count)) + text.utf8
  }

  mutating func structure(_ id: Int, _ body: (inout Thrift) -> Void) {
    begin(id, 12)
    bytes += Thrift.structure(body)
  }

  /// Of structures.
  mutating func list(_ id: Int, _ elements: [[UInt8]]) {
    begin(id, 9)
    bytes +=
      elements.count < 15 ? [UInt8(elements.count) << 4 | 12] : [0xFC] + ParquetBytes.varint(UInt64(elements.count))
    bytes += elements.joined()
  }

  private mutating func begin(_ id: Int, _ kind: UInt8) {
    bytes.append(UInt8(id - last) << 4 | kind)
    last = id
  }
}

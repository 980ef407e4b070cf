/// Finds where rows end in bytes that come piece by piece, without parsing them.
///
/// A cutter is given all bytes from the beginning of the row at hand, again with more where it found no end, and
/// remembers how far it has looked.
protocol RowCutter {
  /// The next row's bytes and where the one after it begins, both counted from the beginning of `bytes`; nil where more
  /// bytes are needed, or after the last row. A row may be blank.
  mutating func next(_ bytes: UnsafeRawBufferPointer, isLast: Bool) throws(CutError) -> Cut?
}

/// A row: its bytes, and how many are done with.
struct Cut: Equatable {
  var row: Range<Int>
  var end: Int
  /// Whether the row is a piece of a text that goes on.
  var continues = false
}

/// Why a file has no rows, or no more.
struct CutError: Error, Equatable { let reason: String }

enum Space {
  static func holds(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}

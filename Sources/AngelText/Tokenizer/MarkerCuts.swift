import AngelCore

/// Where a text that no pre-tokenizer cut may be cut all the same: before a marker of a space that no token continues over.
///
/// A merge makes a token of the vocabulary, so a boundary that lies inside no token is never merged over. Words then
/// are short, and can be remembered; a text of a megabyte would be one heap otherwise.
struct MarkerCuts: Sendable {
  static let marker: [UInt8] = Array("\u{2581}".utf8)
  /// Whether some token has this byte before a marker; nil where the marker itself is no token.
  private let joins: [Bool]?

  /// Cuts for merges that make tokens of `spellings`.
  init(_ vocabulary: Vocabulary) {
    guard vocabulary.index.find(Self.marker, in: vocabulary.spellings) != nil else {
      joins = nil
      return
    }
    var joins = [Bool](repeating: false, count: 256)
    vocabulary.spellings.withEntries { entries in
      Self.marker.withUnsafeBufferPointer { marker in
        var entry = 0
        var position = 0
        while let match = entries.bytes.firstRange(of: marker, from: position) {
          position = match.lowerBound + 1
          while Int(entries.offsets[entry + 1]) <= match.lowerBound { entry += 1 }
          let start = Int(entries.offsets[entry])
          if match.lowerBound > start { joins[Int(entries.bytes[match.lowerBound - 1])] = true }
        }
      }
    }
    self.joins = joins
  }

  /// The end of the part of `text` that begins at `start`.
  @inline(__always)
  func end(in text: UnsafeBufferPointer<UInt8>, from start: Int, limit: Int) -> Int {
    guard let joins else { return limit }
    var position = start + 1
    while position + 2 < limit {
      if text[position] == 0xE2, text[position + 1] == 0x96, text[position + 2] == 0x81,
        !joins[Int(text[position - 1])]
      {
        return position
      }
      position += 1
    }
    return limit
  }
}

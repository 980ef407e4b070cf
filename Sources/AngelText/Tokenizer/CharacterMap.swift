/// A table of character replacements that SentencePiece compiled (`precompiled_charsmap`): a double-array trie (Aoe 1989,
/// darts-clone's layout) whose values are positions in a block of zero-terminated texts.
public struct CharacterMap: Sendable, Hashable {
  private let units: [UInt32]
  private let texts: [UInt8]
  /// Whether the map goes by grapheme clusters as `tokenizers` does, not by the longest match as SentencePiece.
  private let goesByGraphemes: Bool

  /// Real maps have some 300 KB.
  private static let byteLimit = 16 << 20
  /// A replaced text starts with at most this many bytes.
  private static let longestKey = 64

  /// Reads a map: the trie's size in bytes (32 bits, little endian), the trie, the texts.
  public init(parsing bytes: [UInt8], goesByGraphemes: Bool) throws(TokenizerError) {
    func wrong(_ reason: String) -> TokenizerError { .invalid(field: "character map", reason: reason) }
    guard bytes.count <= Self.byteLimit else { throw wrong("\(bytes.count) bytes; \(Self.byteLimit) are the most") }
    guard bytes.count >= 4 else { throw wrong("it has no size") }
    func word(_ index: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[index + $1]) << UInt32(8 * $1) }
    }
    let trieSize = Int(word(0))
    guard trieSize % 4 == 0, trieSize >= 4, trieSize <= bytes.count - 4 else {
      throw wrong("a trie of \(trieSize) bytes in \(bytes.count)")
    }
    units = stride(from: 4, to: 4 + trieSize, by: 4).map(word)
    texts = Array(bytes[(4 + trieSize)...])
    guard texts.last == 0 || texts.isEmpty else { throw wrong("its last text does not end") }
    self.goesByGraphemes = goesByGraphemes
  }

  /// The map as `init(parsing:)` reads it.
  var bytes: [UInt8] {
    func little(_ word: UInt32) -> [UInt8] { withUnsafeBytes(of: word.littleEndian, Array.init) }
    return little(UInt32(4 * units.count)) + units.flatMap(little) + texts
  }

  /// The mapped text.
  func map(_ text: [UInt8]) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(text.count)
    if goesByGraphemes {
      mapGraphemes(text, into: &output)
    } else {
      mapLongest(text, into: &output)
    }
    return output
  }

  static let lineEnd = "\r\n"

  /// What a map by longest matches makes of a line end where the same map by grapheme clusters makes something else of it;
  /// nil where they agree, and where the map would change that again.
  var lineEndLostByGraphemes: String? {
    guard !goesByGraphemes else { return nil }
    let text = Array(Self.lineEnd.utf8)
    var (longest, byGraphemes): ([UInt8], [UInt8]) = ([], [])
    mapLongest(text, into: &longest)
    mapGraphemes(text, into: &byGraphemes)
    guard longest != byGraphemes, map(longest) == longest else { return nil }
    return String(validating: longest, as: UTF8.self)
  }

  private func mapLongest(_ text: [UInt8], into output: inout [UInt8]) {
    var position = 0
    text.withUnsafeBufferPointer { bytes in
      while position < bytes.count {
        var best: (value: Int, count: Int)?
        forEachMatch(UnsafeBufferPointer(rebasing: bytes[position...])) { best = ($0, $1) }
        if let best {
          append(best.value, to: &output)
          position += best.count
        } else {
          repeat {
            output.append(bytes[position])
            position += 1
          } while position < bytes.count && bytes[position] & 0xC0 == 0x80
        }
      }
    }
  }

  /// A whole cluster below six bytes takes the shortest entry it starts with; else each of its characters does. The rest
  /// of what was looked up is dropped: so the reference library does it.
  private func mapGraphemes(_ text: [UInt8], into output: inout [UInt8]) {
    for cluster in String(decoding: text, as: UTF8.self) {
      let bytes = Array(cluster.utf8)
      if bytes.count < 6, let value = shortestMatch(bytes) {
        append(value, to: &output)
      } else if bytes.count == 1 {
        output.append(bytes[0])
      } else {
        for scalar in cluster.unicodeScalars {
          let part = Array(String(scalar).utf8)
          if let value = shortestMatch(part) { append(value, to: &output) } else { output += part }
        }
      }
    }
  }

  private func shortestMatch(_ bytes: [UInt8]) -> Int? {
    var first: Int?
    bytes.withUnsafeBufferPointer { forEachMatch($0) { value, _ in first = first ?? value } }
    return first
  }

  /// Calls `body` with the value and length of each entry that `bytes` start with, shortest first.
  private func forEachMatch(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (_ value: Int, _ count: Int) -> Void) {
    func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int((unit & 0x200) >> 6) }
    var node = offset(units[0])
    for (index, byte) in bytes.prefix(Self.longestKey).enumerated() {
      guard byte != 0 else { return }
      node ^= Int(byte)
      // A damaged map may lead anywhere.
      guard node < units.count, units[node] & 0x8000_00FF == UInt32(byte) else { return }
      let unit = units[node]
      node ^= offset(unit)
      guard unit & 0x100 != 0 else { continue }
      guard node < units.count else { return }
      body(Int(units[node] & 0x7FFF_FFFF), index + 1)
    }
  }

  private func append(_ value: Int, to output: inout [UInt8]) {
    var position = value
    while position < texts.count, texts[position] != 0 {
      output.append(texts[position])
      position += 1
    }
  }
}

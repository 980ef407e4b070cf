import AngelCore
import Glibc

/// Tokens by the bytes they stand for, as a tree in one list: a node is followed by its descendants, then by its siblings.
struct TokenTrie: Sendable {
  /// The last byte of each node's text, how many bytes it has, and where the list goes on behind its descendants.
  private(set) var bytes: [UInt8] = []
  private(set) var depths: [UInt16] = []
  private(set) var ends: [Int32] = []
  /// The tokens in the order of their nodes; those of node i are `tokens[firsts[i]..<firsts[i + 1]]`.
  private(set) var tokens: [Int32] = []
  private(set) var firsts: [Int32] = []
  /// The longest text in bytes.
  private(set) var longest = 0

  /// Texts of more bytes are left out: nobody could spell them.
  static let longestText = 1 << 10

  /// A tree of some of the entries of `spellings`, by their bytes where they are `sorted` already.
  init(_ chosen: [Int32], of spellings: StringTable, sorted isSorted: Bool = false) {
    let sorted = isSorted ? chosen : Self.sorted(chosen, by: spellings)
    var path: [Int32] = []
    var last: ArraySlice<UInt8> = []
    for token in sorted {
      let text = spellings[Int(token)]
      guard !text.isEmpty, text.count <= Self.longestText else { continue }
      let common = zip(last, text).prefix { $0 == $1 }.count
      close(&path, to: common)
      for byte in text.dropFirst(common) {
        path.append(Int32(bytes.count))
        bytes.append(byte)
        depths.append(UInt16(path.count))
        ends.append(0)
        firsts.append(Int32(tokens.count))
      }
      tokens.append(token)
      longest = max(longest, text.count)
      last = text
    }
    close(&path, to: 0)
    firsts.append(Int32(tokens.count))
  }

  /// The tokens by their bytes; of equal ones by number.
  private static func sorted(_ tokens: [Int32], by spellings: StringTable) -> [Int32] {
    spellings.bytes.withUnsafeBufferPointer { bytes in
      spellings.offsets.withUnsafeBufferPointer { offsets in
        tokens.sorted { a, b in
          guard let base = bytes.baseAddress else { return a < b }
          let (first, second) = (Int(offsets[Int(a)]), Int(offsets[Int(b)]))
          let (count, otherCount) = (Int(offsets[Int(a) + 1]) - first, Int(offsets[Int(b) + 1]) - second)
          let order = memcmp(base + first, base + second, min(count, otherCount))
          return order != 0 ? order < 0 : (count, a) < (otherCount, b)
        }
      }
    }
  }

  private mutating func close(_ path: inout [Int32], to depth: Int) {
    while path.count > depth { ends[Int(path.removeLast())] = Int32(bytes.count) }
  }

  /// About how many bytes it takes.
  var memory: Int { 11 * bytes.count + 4 * tokens.count }
}

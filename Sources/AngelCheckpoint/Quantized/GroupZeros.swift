import AngelCore

/// The code that means zero, for each output and group of inputs.
struct GroupZeros: Sendable {
  enum Layout: Sendable {
    /// One for all: half of the codes.
    case middle
    /// Words [groups, outputs · bits / 32], each along the outputs: GPTQ.
    case wordsOfOutputs
    /// Words [groups, outputs / 8] of nibbles in the order `AWQOrder`: AWQ.
    case interleavedOutputs
    /// Words [outputs · bits / 32, groups], rounded up, each along the outputs: compressed-tensors.
    case wordsOfGroups
    /// Signed bytes [outputs, groups]; read with half of the codes added.
    case signedBytes
  }

  /// Nil for `Layout.middle`.
  let tensor: StoredBytes?
  let layout: Layout
  let bits: Int
  let outputs: Int
  let groups: Int
  /// Whether the file holds zeros less one, as the first GPTQ format does.
  let areLessOne: Bool

  init(
    _ layout: Layout, _ tensor: StoredBytes?, bits: Int, outputs: Int, groups: Int, areLessOne: Bool = false
  ) {
    self.tensor = tensor
    self.layout = layout
    self.bits = bits
    self.outputs = outputs
    self.groups = groups
    self.areLessOne = areLessOne
  }

  /// One for all.
  static func middle(bits: Int) -> GroupZeros { GroupZeros(.middle, nil, bits: bits, outputs: 0, groups: 0) }

  /// The least and the greatest.
  func range() -> ClosedRange<Int> {
    let middle = 1 << (bits - 1)
    guard let tensor else { return middle...middle }
    return withExtendedLifetime(tensor.file) {
      let reader = reader
      var (least, greatest) = (Int.max, Int.min)
      for group in 0..<groups {
        for row in 0..<outputs {
          let zero = reader.zero(row, group)
          least = min(least, zero)
          greatest = max(greatest, zero)
        }
      }
      return least <= greatest ? least...greatest : middle...middle
    }
  }

  /// Access to the zeros without checks; valid while the tensor's file lives.
  var reader: Reader { Reader(self) }

  struct Reader {
    private let base: UnsafeRawBufferPointer
    private let layout: Layout
    private let bits: Int
    private let mask: UInt32
    private let stride: Int
    /// One in each code of a word, or nothing.
    private let increment: UInt32

    fileprivate init(_ zeros: GroupZeros) {
      base = zeros.tensor?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0)
      layout = zeros.layout
      bits = zeros.bits
      mask = UInt32(1) << UInt32(zeros.bits) - 1
      stride =
        switch zeros.layout {
        case .middle: 0
        case .wordsOfOutputs: zeros.outputs * zeros.bits / 32
        case .interleavedOutputs: zeros.outputs / 8
        case .wordsOfGroups, .signedBytes: zeros.groups
        }
      increment = zeros.areLessOne ? UInt32.max / mask : 0
    }

    @inline(__always)
    func zero(_ row: Int, _ group: Int) -> Int {
      switch layout {
      case .middle: return 1 << (bits - 1)
      case .wordsOfOutputs:
        // GPTQModel takes one from whole words and adds one to whole words, so that a zero of 0 comes back through the
        // neighbours it has borrowed from.
        return code(at: row * bits) { word(group &* stride &+ $0) &+ increment }
      case .interleavedOutputs:
        return Int(word(group &* stride &+ row >> 3) >> UInt32(4 * AWQOrder.nibble(of: row)) & 15)
      case .wordsOfGroups: return code(at: row * bits) { word($0 &* stride &+ group) }
      case .signedBytes:
        return Int(Int8(bitPattern: base[row &* stride &+ group])) + 1 << (bits - 1)
      }
    }

    /// The code at a bit of a stream of words.
    @inline(__always)
    private func code(at bit: Int, _ word: (Int) -> UInt32) -> Int {
      let (index, offset) = (bit >> 5, UInt32(bit & 31))
      var value = word(index) >> offset
      if Int(offset) + bits > 32 { value |= word(index + 1) << (32 - offset) }
      return Int(value & mask)
    }

    @inline(__always)
    private func word(_ index: Int) -> UInt32 {
      UInt32(littleEndian: base.loadUnaligned(fromByteOffset: 4 &* index, as: UInt32.self))
    }
  }
}

import AngelCore

/// Zstandard frames one after the other (RFC 8878), without dictionaries.
enum Zstandard {
  private static let magic = 0xFD2F_B528
  /// Skippable frames have one of sixteen numbers.
  private static let skippable = 0x184D_2A50

  static func unpacked(_ packed: UnsafeRawBufferPointer, limit: Int) throws(PackedError) -> [UInt8] {
    var output: [UInt8] = []
    var reader = PackedReader(packed)
    guard !packed.isEmpty else { throw .damaged("it is empty") }
    while reader.left > 0 {
      let number = try reader.integer(4)
      if number & ~15 == skippable {
        _ = try reader.bytes(try reader.integer(4))
        continue
      }
      guard number == magic else { throw .damaged("it is no Zstandard file") }
      try frame(&reader, &output, limit)
    }
    return output
  }

  private static func frame(
    _ reader: inout PackedReader, _ output: inout [UInt8], _ limit: Int
  ) throws(PackedError) {
    let flags = try reader.integer(1)
    let (isSingle, hasChecksum) = (flags & 32 != 0, flags & 4 != 0)
    guard flags & 8 == 0 else { throw .damaged("its header has an unknown flag") }
    if !isSingle { _ = try reader.integer(1) }
    guard try reader.integer([0, 1, 2, 4][flags & 3]) == 0 else { throw .damaged("it needs a dictionary") }
    let sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][flags >> 6]
    let declared = try reader.integer(sizeBytes) + (sizeBytes == 2 ? 256 : 0)
    guard sizeBytes == 0 || declared >= 0 && declared <= limit - output.count else { throw .tooLarge }
    let start = output.count
    var blocks = ZstandardBlocks(frameStart: start)
    var isLast = false
    while !isLast {
      let header = try reader.integer(3)
      isLast = header & 1 == 1
      let size = header >> 3
      switch header >> 1 & 3 {
      case 0: output += try reader.bytes(size)
      case 1:
        let byte = UInt8(try reader.integer(1))
        guard output.count + size <= limit else { throw .tooLarge }
        output += repeatElement(byte, count: size)
      case 2: try blocks.decode(try reader.bytes(size), into: &output, limit: limit)
      default: throw .damaged("a block is of an unknown kind")
      }
      guard output.count <= limit else { throw .tooLarge }
    }
    guard sizeBytes == 0 || output.count - start == declared else { throw .damaged("it is not of its length") }
    guard hasChecksum else { return }
    let want = try reader.integer(4)
    let got = output.withUnsafeBytes { XXHash64.of(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    guard UInt32(truncatingIfNeeded: got) == UInt32(want) else { throw .damaged("its checksum is wrong") }
  }
}

/// Bytes read one after the other.
struct PackedReader {
  private let all: UnsafeRawBufferPointer
  private var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { all = bytes }

  var left: Int { all.count - position }

  mutating func bytes(_ count: Int) throws(PackedError) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= left else { throw .damaged("it ends too early") }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: all[position..<(position + count)])
  }

  /// All that is left.
  mutating func rest() -> UnsafeRawBufferPointer {
    defer { position = all.count }
    return UnsafeRawBufferPointer(rebasing: all[position...])
  }

  /// A number of `count` (0...8) bytes, the lowest first; negative when it has no place in 63 bits.
  mutating func integer(_ count: Int) throws(PackedError) -> Int {
    let bytes = try bytes(count)
    return Int(truncatingIfNeeded: bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
  }
}

/// XXH64 with seed 0 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
enum XXHash64 {
  private static let primes: [UInt64] = [
    0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63, 0x27D4_EB2F_1656_67C5,
  ]

  static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let p = primes
    func rotated(_ x: UInt64, _ by: UInt64) -> UInt64 { x << by | x >> (64 - by) }
    func round(_ sum: UInt64, _ input: UInt64) -> UInt64 { rotated(sum &+ input &* p[1], 31) &* p[0] }
    func word(_ at: Int) -> UInt64 { UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
    var (hash, at) = (p[4], 0)
    if bytes.count >= 32 {
      var lanes = [p[0] &+ p[1], p[1], 0, 0 &- p[0]]
      while at + 32 <= bytes.count {
        for lane in 0..<4 { lanes[lane] = round(lanes[lane], word(at + 8 * lane)) }
        at += 32
      }
      hash = rotated(lanes[0], 1) &+ rotated(lanes[1], 7) &+ rotated(lanes[2], 12) &+ rotated(lanes[3], 18)
      for lane in lanes { hash = (hash ^ round(0, lane)) &* p[0] &+ p[3] }
    }
    hash = hash &+ UInt64(bytes.count)
    while at + 8 <= bytes.count {
      hash = rotated(hash ^ round(0, word(at)), 27) &* p[0] &+ p[3]
      at += 8
    }
    if at + 4 <= bytes.count {
      let four = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
      hash = rotated(hash ^ UInt64(four) &* p[0], 23) &* p[1] &+ p[2]
      at += 4
    }
    while at < bytes.count {
      hash = rotated(hash ^ UInt64(bytes[at]) &* p[4], 11) &* p[0]
      at += 1
    }
    hash = (hash ^ hash >> 33) &* p[1]
    hash = (hash ^ hash >> 29) &* p[2]
    return hash ^ hash >> 32
  }
}

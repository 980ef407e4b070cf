/// A set of bytes, as 256 bits.
public struct ByteSet: Hashable, Sendable {
  private var words = SIMD4<UInt64>()

  /// The empty set.
  public init() {}

  /// The set of the given bytes.
  public init(_ bytes: some Sequence<UInt8>) { for byte in bytes { insert(byte) } }

  /// Every byte.
  public static var all: ByteSet { ByteSet().inverted }

  public var isEmpty: Bool { words == SIMD4() }

  public func contains(_ byte: UInt8) -> Bool { words[Int(byte >> 6)] >> UInt64(byte & 63) & 1 == 1 }

  public mutating func insert(_ byte: UInt8) { words[Int(byte >> 6)] |= 1 << UInt64(byte & 63) }

  public mutating func remove(_ byte: UInt8) { words[Int(byte >> 6)] &= ~(1 << UInt64(byte & 63)) }

  public mutating func insert(_ range: ClosedRange<UInt8>) { for byte in range { insert(byte) } }

  /// The bytes that are not in this set.
  public var inverted: ByteSet {
    var result = self
    result.words = ~words
    return result
  }

  /// The bytes by rising value.
  public var bytes: [UInt8] { (0...255).filter { contains($0) } }
}

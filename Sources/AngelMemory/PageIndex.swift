/// The place of a page in its arena, counted in pages from the base.
public struct PageIndex: RawRepresentable, Hashable, Comparable, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }
  public static func < (a: PageIndex, b: PageIndex) -> Bool { a.rawValue < b.rawValue }
}

/// The unit of residency, movement and accounting on every tier.
public enum Page {
  /// 4 MiB: two huge pages, and large enough that moving one is bound by bandwidth and not by the call.
  public static let byteCount = 4 << 20
  /// The size and alignment of a huge page (x86-64 and AArch64 with 4 KiB base pages), 2 MiB.
  public static let hugePageByteCount = 2 << 20

  /// The least number of pages that hold `byteCount` bytes.
  public static func count(holding byteCount: Int) -> Int {
    precondition(byteCount >= 0, "a negative byte count: \(byteCount)")
    return byteCount / Self.byteCount + (byteCount % Self.byteCount == 0 ? 0 : 1)
  }
}

public import AngelCore

/// How much memory one kind uses, now and at most.
public struct KindUsage: Equatable, Sendable {
  public let kind: MemoryKind
  /// Bytes in regions, as asked for.
  public var byteCount = 0
  public var peakByteCount = 0
  public var regionCount = 0
  /// Pages that hold at least one of those bytes.
  public var pageCount = 0
  public var peakPageCount = 0

  init(kind: MemoryKind) { self.kind = kind }

  /// The part of this kind's pages that holds nothing, 0...1.
  public var fragmentation: Double {
    pageCount == 0 ? 0 : 1 - Double(byteCount) / Double(pageCount * Page.byteCount)
  }
}

/// A snapshot of a page pool.
public struct MemoryUsage: Equatable, Sendable {
  /// One entry for each kind, in the order of `MemoryKind.allCases`.
  public let kinds: [KindUsage]
  /// The most bytes that regions of all kinds had together.
  public let peakByteCount: Int
  /// Pages that hold memory, used or not: the most that were in use at once, since they stay.
  public let touchedPageCount: Int
  /// Touched pages that nobody uses; wherever they lie, they make up for any run.
  public let freePageCount: Int
  /// Bytes the pool may use.
  public let budget: Int

  /// The entry of one kind.
  public subscript(kind: MemoryKind) -> KindUsage { kinds[Int(kind.rawValue)] }
  /// Bytes in regions of all kinds.
  public var byteCount: Int { kinds.reduce(0) { $0 + $1.byteCount } }
  /// Bytes the pool keeps resident: what it was at most, since pages stay touched.
  public var residentByteCount: Int { touchedPageCount * Page.byteCount }
}

extension MemoryUsage {
  /// `{"budget_bytes","resident_bytes","free_bytes","peak_bytes","kinds":[{"kind","bytes","peak_bytes","pages","peak_pages",
  /// "fragmentation"}…]}`, with the kinds that were ever used.
  public var json: JSONValue {
    let used: [JSONValue] = kinds.filter { $0.peakPageCount > 0 }.map {
      [
        "kind": .string($0.kind.jsonName), "bytes": .integer($0.byteCount), "peak_bytes": .integer($0.peakByteCount),
        "pages": .integer($0.pageCount), "peak_pages": .integer($0.peakPageCount),
        "fragmentation": .number($0.fragmentation),
      ]
    }
    return [
      "budget_bytes": .integer(budget), "resident_bytes": .integer(residentByteCount),
      "free_bytes": .integer(freePageCount * Page.byteCount), "peak_bytes": .integer(peakByteCount),
      "kinds": .array(used),
    ]
  }
}

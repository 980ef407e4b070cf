import AngelTensor

/// How far back a model's layers see, where its cache's blocks go by that (`CacheGeometry`).
struct CacheWindows: Sendable, Equatable {
  /// Positions up to a token's own that the layers of table 0 see, 0 for all.
  var wide = 0
  /// The same of the further tables, and how many there are.
  var local = 0
  var localCount = 0

  /// Blocks of 16 tokens in all tables.
  var spanBlocks: Int { 1 + localCount }
}

extension CacheGeometry {
  var windows: CacheWindows { CacheWindows(wide: window, local: localWindow, localCount: localTableCount) }
}

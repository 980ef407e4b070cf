public import AngelCore
import CAngelKernels

/// How keys and values of a model's layers lie in blocks of 16 tokens.
///
/// A model whose layers all see alike has one block for every 16 tokens. Where some layers have a window and others see
/// everything, the latter share one block and the windowed ones lie in further blocks of the same size, so that those can be
/// given back when no window reaches them any more. Each of these blocks has a block table of its own; table 0 is that of
/// the layers that see furthest.
public struct CacheGeometry: Hashable, Sendable {
  public static let blockTokens = Int(ANGEL_BLOCK_TOKENS)
  public let layerCount: Int
  public private(set) var keyValueHeadCount: Int
  public let headSize: Int
  /// Layers of one block; the last block of a model may have fewer.
  public let layersPerBlock: Int
  /// Further tables, for the windowed layers of a model that has other layers too.
  public let localTableCount: Int
  /// No layer of table 0 sees more positions than these up to a token's own; 0: they see all.
  public let window: Int
  /// The same of the further tables, where there are any.
  public let localWindow: Int
  /// For each layer, its table and its place in a block.
  private let places: [Place]

  private struct Place: Hashable, Sendable {
    let table: Int
    let index: Int
  }

  /// - Parameter windows: for each layer, how many positions up to its own a token sees, 0 for all; empty: all layers see all.
  public init(layerCount: Int, keyValueHeadCount: Int, headSize: Int, windows: [Int] = []) {
    precondition(windows.isEmpty || windows.count == layerCount, "\(windows.count) windows of \(layerCount) layers")
    self.layerCount = layerCount
    self.keyValueHeadCount = keyValueHeadCount
    self.headSize = headSize
    let localCount = windows.count { $0 > 0 }
    let wideCount = layerCount - localCount
    let widest = windows.max() ?? 0
    // Fewer windowed layers than others would leave most of their block empty.
    guard wideCount > 0, localCount >= wideCount else {
      (layersPerBlock, localTableCount, localWindow) = (max(layerCount, 1), 0, 0)
      window = wideCount > 0 ? 0 : widest
      places = (0..<layerCount).map { Place(table: 0, index: $0) }
      return
    }
    (layersPerBlock, window, localWindow) = (wideCount, 0, widest)
    localTableCount = (localCount + wideCount - 1) / wideCount
    var (wide, local) = (0, 0)
    places = windows.map { window in
      if window == 0 {
        defer { wide += 1 }
        return Place(table: 0, index: wide)
      }
      defer { local += 1 }
      return Place(table: 1 + local / wideCount, index: local % wideCount)
    }
  }

  /// The same of one of `count` even parts of the heads.
  public func part(of count: Int) -> Self {
    precondition(keyValueHeadCount % count == 0, "\(keyValueHeadCount) heads have no \(count) even parts")
    var result = self
    result.keyValueHeadCount /= count
    return result
  }

  /// Block tables, and blocks of 16 tokens of all layers.
  public var tableCount: Int { 1 + localTableCount }

  /// The table that a layer's blocks are found through, and its place in such a block.
  public func place(of layer: Int) -> (table: Int, index: Int) { (places[layer].table, places[layer].index) }

  /// Bytes of one layer's part of a block: keys, then values.
  public func layerBytes(_ dtype: DType) -> Int {
    2 * keyValueHeadCount * headSize * Self.blockTokens * dtype.blockBytes
  }

  /// Bytes of a block.
  public func blockBytes(_ dtype: DType) -> Int { layersPerBlock * layerBytes(dtype) }

  /// Bytes of 16 tokens of all layers.
  public func spanBytes(_ dtype: DType) -> Int { tableCount * blockBytes(dtype) }
}

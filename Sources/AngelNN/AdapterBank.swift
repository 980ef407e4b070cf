public import AngelCore
public import AngelTensor

/// Low-rank adapters that serve side by side over one model, each row of a step with the one it is given.
///
/// One thread drives the steps, and puts adapters in and takes them out between them. Which row has which is written
/// before each step and read by the kernel, so recorded steps stay good; only when a layer gets its first adapter of all
/// has that layer more to do than was recorded.
public final class AdapterBank {
  /// The most adapters at once; they have the numbers from 0 on.
  public let limit: Int
  private let layers: [String: AdaptedRows]
  private let rows: MutableTensor

  /// Prepares the linear layers of `model` for adapters, all but the head's, which sees fewer rows than the others, and
  /// those of experts, which see rows in another order.
  ///
  /// - Parameter rowLimit: the most rows of a step.
  public init(beside model: inout some Module, limit: Int, rowLimit: Int, on backend: any Backend) {
    self.limit = limit
    let rows = MutableTensor([rowLimit], .int32, on: backend)
    var layers: [String: AdaptedRows] = [:]
    model.visitLinearLayers { path, linear in
      guard path != "head", !path.contains(".experts.") else { return }
      let table = LowRankTable(
        count: limit, inputs: linear.weight.shape[1], outputs: linear.weight.shape[0], on: backend)
      let layer = AdaptedRows(table, rows: rows.tensor)
      layers[path] = layer
      linear.adaptedRows = layer
    }
    self.rows = rows
    self.layers = layers
  }

  /// Random matrices for every layer, for measurements and tests, drawn by `seed`.
  public func randomMatrices(
    rank: Int, scale: Float, seed: UInt64, dtype: DType, on backend: any Backend
  ) -> [String: LowRankMatrices] {
    let random = PhiloxGenerator(seed: seed)
    var block: UInt64 = 0
    func values(_ count: Int) -> [Float] {
      (0..<count).map { _ in
        block += 1
        return Float(random.uniformDouble(atBlock: block) - 0.5) * 0.02
      }
    }
    var result: [String: LowRankMatrices] = [:]
    // In a fixed order: that of a dictionary differs from one to the next.
    for (path, layer) in layers.sorted(by: { $0.key < $1.key }) {
      result[path] = LowRankMatrices(
        down: values(rank * layer.table.inputs), up: values(rank * layer.table.outputs), rank: rank, scale: scale,
        dtype: dtype, on: backend)
    }
    return result
  }

  /// Whether a layer can have adapters.
  public func has(layer path: String) -> Bool { layers[path] != nil }

  /// Puts an adapter in a place: its matrices by the paths of layers, which must be there.
  ///
  /// - Returns: whether steps that were recorded before are out of date.
  public func put(_ matrices: [String: LowRankMatrices], at number: Int) -> Bool {
    var isNew = false
    for (path, layer) in layers {
      layer.table.put(matrices[path], at: number)
      if matrices[path] != nil, !layer.isUsed {
        layer.isUsed = true
        isNew = true
      }
    }
    return isNew
  }

  /// Takes an adapter out.
  public func remove(at number: Int) { for layer in layers.values { layer.table.put(nil, at: number) } }

  /// Says which adapter each row of the next step has; negative: none.
  public func assign(_ numbers: [Int32]) { rows.write(numbers) }

  /// Has every layer take its adapters into account, as when all of them had some: for plans.
  public func useEverywhere() { for layer in layers.values { layer.isUsed = true } }
}

/// The adapters of one linear layer, and which of them each row of the step has.
public final class AdaptedRows {
  fileprivate let table: LowRankTable
  /// [the most rows of a step] int32.
  private let rows: Tensor
  /// Whether any adapter has stood beside this layer.
  fileprivate(set) var isUsed = false

  fileprivate init(_ table: LowRankTable, rows: Tensor) {
    self.table = table
    self.rows = rows
  }

  /// The layer's result [R, outputs] for x [R, inputs], given its product without bias.
  func callAsFunction(_ x: Tensor, _ product: Tensor, bias: Tensor?) -> Tensor {
    x.adapted(product, by: table, rows: rows.prefix(0..<x.shape[0]), bias: bias)
  }
}

// SAFETY: of what changes, `isUsed` is written between steps by the thread that runs them.
extension AdaptedRows: @unchecked Sendable {}

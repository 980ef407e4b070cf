public import AngelCore
package import CAngelKernels

/// What low-rank adapters make of a layer's product, each row with one of its own or none (low_rank.h).
///
/// Inputs: the layer's input [R, inputs], its product [R, outputs] without bias, [R] int32 numbers of adapters in `table`
/// (negative: none), and the bias [outputs] where there is one.
package struct LowRank: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_low_rank }
  package let table: LowRankTable

  package init(_ table: LowRankTable) { self.table = table }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (x, product, rows) = (inputs[0], inputs[1], inputs[2])
    precondition(
      x.shape.rank == 2 && product.shape == [x.shape[0], table.outputs] && x.shape[1] == table.inputs
        && rows == TensorSpecification([x.shape[0]], .int32)
        && (inputs.count < 4 || inputs[3].shape == [table.outputs]),
      "low_rank: input \(x), product \(product), rows \(rows) against [\(table.outputs), \(table.inputs)]")
    return product
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_low_rank_arguments {
    angel_low_rank_arguments(
      input: inputs[0].floats, product: inputs[1].floats, bias: inputs.count > 3 ? inputs[3].floats : nil,
      output: output.mutableFloats, adapters: table.entries, row_adapters: inputs[2].int32s,
      rows: Int64(output.shape[0]), inputs: Int64(table.inputs), outputs: Int64(table.outputs))
  }

  package func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    // Which rows have adapters, and in recorded steps which adapters come later, is known on the device only.
    Work(
      bytes: 2 * output.byteCount + inputs[0].byteCount,
      multiplyAdds: output.shape[0] * max(16, table.widestRank) * (table.inputs + table.outputs))
  }

  /// Every row with every adapter, all but its own counted zero times.
  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let (x, product, rows) = (inputs[0], inputs[1], inputs[2])
    let (count, dtype) = (x.shape[0], x.dtype)
    var result = product
    for case let (number, adapter?) in table.adapters.enumerated() {
      let down = adapter.downColumns(dtype).prefix(0..<table.inputs)  // [inputs, padded rank]
      let up = adapter.upRows(dtype).prefix(0..<table.outputs)  // [outputs, rank]
      let products = x.reshaped([1] + x.shape.array).matmul(down.reshaped([1] + down.shape.array))
      let inner = products.reshaped(count, -1).permuted(1, 0).prefix(0..<adapter.rank).permuted(1, 0)
      let change = inner.reshaped([1] + inner.shape.array).matmul(
        up.reshaped([1] + up.shape.array), transposingRight: true)
      var sum = product + change.reshaped(count, table.outputs) * Double(adapter.scale)
      if let scales = adapter.scales { sum = sum * scales.cast(to: dtype) }
      let mask = rows.isEqual(to: number, dtype)
      result = result * (1 - mask) + sum * mask
    }
    return inputs.count > 3 ? result + inputs[3] : result
  }
}

/// One adapter's matrices beside one layer, as the kernel reads them.
public struct LowRankMatrices: Sendable {
  /// A [rank, inputs] as [rank / 4, inputs / 16, 4, 16], rounded up and padded with zeros.
  fileprivate let down: Tensor
  /// Bᵀ [rank, outputs] as [outputs / 16, rank, 16], likewise.
  fileprivate let up: Tensor
  fileprivate let rank: Int
  /// What each output is multiplied by, [outputs] float32; nil: nothing.
  fileprivate let scales: Tensor?
  fileprivate let scale: Float

  /// - Parameters:
  ///   - down: A in row-major order, [rank, inputs].
  ///   - up: B in row-major order, [outputs, rank].
  ///   - dtype: float32, float16 or bfloat16: what both are held in.
  public init(
    down: [Float], up: [Float], rank: Int, scale: Float, scales: [Float]? = nil, dtype: DType, on backend: any Backend
  ) {
    precondition(
      rank > 0 && down.count % rank == 0 && up.count % rank == 0 && [.float32, .float16, .bfloat16].contains(dtype),
      "low_rank: \(down.count) and \(up.count) values of rank \(rank) in \(dtype.name)")
    func held(_ values: [Float], _ shape: Shape) -> Tensor {
      let matrix = Tensor(values, shape: shape, on: backend, kind: .weights)
      return dtype == .float32 ? matrix : matrix.cast(to: dtype).copied(to: .weights)
    }
    let (inputs, outputs) = (down.count / rank, up.count / rank)
    let (groups, sixteens, strips) = ((rank + 3) / 4, (inputs + 15) / 16, (outputs + 15) / 16)
    var packedDown = [Float](repeating: 0, count: groups * sixteens * 64)
    var packedUp = [Float](repeating: 0, count: strips * rank * 16)
    for line in 0..<rank {
      for place in 0..<inputs {
        let block = line / 4 * sixteens + place / 16
        packedDown[block * 64 + line % 4 * 16 + place % 16] = down[line * inputs + place]
      }
      for place in 0..<outputs {
        packedUp[(place / 16 * rank + line) * 16 + place % 16] = up[place * rank + line]
      }
    }
    self.down = held(packedDown, [groups, sixteens, 4, 16])
    self.up = held(packedUp, [strips, rank, 16])
    self.rank = rank
    self.scales = scales.map { Tensor($0, on: backend, kind: .weights) }
    self.scale = scale
  }

  /// Aᵀ [padded inputs, padded rank].
  fileprivate func downColumns(_ dtype: DType) -> Tensor {
    down.cast(to: dtype).permuted(1, 3, 0, 2).reshaped(down.shape[1] * 16, down.shape[0] * 4)
  }

  /// B [padded outputs, rank].
  fileprivate func upRows(_ dtype: DType) -> Tensor {
    up.cast(to: dtype).permuted(0, 2, 1).reshaped(up.shape[0] * 16, rank)
  }

  /// Bytes of all of it.
  public var byteCount: Int {
    down.specification.byteCount + up.specification.byteCount + (scales?.specification.byteCount ?? 0)
  }
}

/// One linear layer's adapters by number. They may be replaced between steps; recorded steps then find the new ones.
public final class LowRankTable {
  public let inputs: Int
  public let outputs: Int
  private let bytes: MutableTensor
  package private(set) var adapters: [LowRankMatrices?]

  /// Room for `count` adapters of a layer [outputs, inputs].
  public init(count: Int, inputs: Int, outputs: Int, on backend: any Backend) {
    self.inputs = inputs
    self.outputs = outputs
    adapters = Array(repeating: nil, count: count)
    bytes = MutableTensor([max(1, count) * MemoryLayout<angel_low_rank_adapter>.stride], .uint8, on: backend)
  }

  /// Puts an adapter, or none, in a place.
  public func put(_ matrices: LowRankMatrices?, at number: Int) {
    precondition(
      matrices.map { $0.down.shape[1] == (inputs + 15) / 16 && $0.up.shape[0] == (outputs + 15) / 16 }
        ?? true,
      "low_rank: matrices of another layer")
    adapters[number] = matrices
    var entry = angel_low_rank_adapter()
    if let matrices {
      entry.down = UnsafeRawPointer(matrices.down.address)
      entry.up = UnsafeRawPointer(matrices.up.address)
      entry.scales = matrices.scales?.floats
      entry.scale = matrices.scale
      entry.rank = Int32(matrices.rank)
      entry.dtype = Int32(matrices.down.dtype.rawValue)
    }
    withUnsafeBytes(of: &entry) { bytes.write(Array($0), at: number * $0.count) }
  }

  fileprivate var widestRank: Int { adapters.reduce(0) { max($0, $1?.rank ?? 0) } }

  fileprivate var entries: UnsafePointer<angel_low_rank_adapter> {
    UnsafePointer(bytes.tensor.address.assumingMemoryBound(to: angel_low_rank_adapter.self))
  }
}

// SAFETY: one thread drives steps and puts adapters in between them; kernels read the device's copy while it waits.
extension LowRankTable: @unchecked Sendable {}

extension Tensor {
  /// What the adapters of `table` make of `product` [R, outputs], which a layer without its bias made of these rows
  /// [R, inputs]: each row by the adapter whose number stands in `rows` [R] int32, by none where it is negative; with
  /// the bias then.
  public func adapted(_ product: Tensor, by table: LowRankTable, rows: Tensor, bias: Tensor?) -> Tensor {
    let operation = LowRank(table)
    return bias.map { operation(self, product, rows, $0) } ?? operation(self, product, rows)
  }

  /// [R, 1] of `dtype`: 1 where these whole numbers [R] are `number`, else 0.
  func isEqual(to number: Int, _ dtype: DType) -> Tensor {
    let numbers = cast(to: dtype).reshaped(-1, 1)
    let distance = maximum(numbers - Double(number), Double(number) - numbers)
    return 1 - minimum(distance, distance.constant(1))
  }
}

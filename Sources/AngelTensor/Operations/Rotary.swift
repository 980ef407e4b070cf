import AngelCore
package import CAngelKernels

/// Rotates pairs of a head's elements by position-dependent angles (arXiv:2104.09864, rotary.h).
package struct Rotation: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_rotary }

  package init() {}

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (x, table) = (inputs[0], inputs[1])
    precondition(
      x.shape.rank == 3 && table.shape.rank == 3 && table.shape[0] == x.shape[0] && table.shape[1] == 2
        && 2 * table.shape[2] <= x.shape[2] && (x.dtype == table.dtype || x.dtype == .bfloat16),
      "rotary: table \(table) does not fit \(x)")
    return x
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_rotary_arguments {
    angel_rotary_arguments(
      input: UnsafeRawPointer(inputs[0].address), table: inputs[1].floats, output: output.address, rows: Int64(output.shape[0]),
      heads: Int64(output.shape[1]), head_size: Int64(output.shape[2]), rotated: Int64(2 * inputs[1].shape[2]))
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let (x, table) = (inputs[0], inputs[1])
    let (rows, heads, half) = (x.shape[0], x.shape[1], table.shape[2])
    if x.shape[2] > 2 * half { return composedPartial(x, table) }
    // [R, 2, half] -> cosines and sines [R, 1, half], broadcast over heads.
    let angles = table.permuted(1, 0, 2)
    let cosine = angles.prefix(0..<1).reshaped(rows, 1, half)
    let sine = angles.prefix(1..<2).reshaped(rows, 1, half)
    let halves = x.reshaped(rows, heads, 2, half).permuted(2, 0, 1, 3)
    let first = halves.prefix(0..<1).reshaped(rows, heads, half)
    let second = halves.prefix(1..<2).reshaped(rows, heads, half)
    let turned = Tensor.stacked([first * cosine - second * sine, second * cosine + first * sine])
    return turned.permuted(1, 2, 0, 3).reshaped(rows, heads, 2 * half)
  }

  /// The rotation by the opposite angles.
  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    precondition(!wanted[1], "rotary: angles are constants")
    let table = inputs[1]
    return { gradient in
      let signs = Tensor([1.0, -1.0], shape: [1, 2, 1], on: table.backend).cast(to: table.dtype)
      return [gradient.rotated(by: table * signs), nil]
    }
  }
}

extension Rotation {
  /// The first elements of each head rotated, the others as they are.
  private func composedPartial(_ x: Tensor, _ table: Tensor) -> Tensor? {
    let (rows, heads, rotated) = (x.shape[0], x.shape[1], 2 * table.shape[2])
    let elements = x.permuted(2, 0, 1)  // [K, R, H]
    let turned = composed([elements.prefix(0..<rotated).permuted(1, 2, 0), table])?.permuted(2, 0, 1)
    func element(_ index: Int) -> Tensor {
      let source = index < rotated ? turned ?? elements : elements
      return source.prefix(index..<(index + 1)).reshaped(rows, heads)
    }
    return Tensor.stacked((0..<x.shape[2]).map(element)).permuted(1, 2, 0)
  }
}

/// Cosines and sines of position times inverse frequency (rotary.h).
package struct RotationTable: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_rotary_table }
  package let scaling: Float

  package init(scaling: Float) { self.scaling = scaling }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (frequencies, positions) = (inputs[0], inputs[1])
    precondition(
      positions.dtype == .int32 && positions.shape.rank == 1 && frequencies.shape.rank == 1,
      "rotary_table: positions \(positions), inverse frequencies \(frequencies)")
    return TensorSpecification([positions.shape[0], 2, frequencies.shape[0]], frequencies.dtype)
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_rotary_table_arguments {
    angel_rotary_table_arguments(
      positions: inputs[1].int32s, inverse_frequencies: inputs[0].floats, output: output.mutableFloats,
      rows: Int64(output.shape[0]), half: Int64(output.shape[2]), scaling: scaling)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let (frequencies, positions) = (inputs[0], inputs[1])
    let (rows, half) = (positions.shape[0], frequencies.shape[0])
    let angles = positions.cast(to: frequencies.dtype).reshaped(rows, 1, 1) * frequencies.reshaped(1, 1, half)
    // Two rows a position: a mask picks the cosine for the first and the sine for the second.
    let isCosine = Tensor([1.0, 0.0], shape: [1, 2, 1], on: frequencies.backend).cast(to: frequencies.dtype)
    return (cos(angles) * isCosine + sin(angles) * (1 - isCosine)) * Double(scaling)
  }
}

extension Tensor {
  /// This [R, heads, headSize] tensor with each head's pairs (i, i + half) rotated by row `R` of `table`.
  public func rotated(by table: Tensor) -> Tensor { Rotation()(self, table) }

  /// The rotation table [R, 2, half] of these inverse frequencies ([half]) at `positions` ([R] int32).
  public func rotationTable(at positions: Tensor, scaling: Float = 1) -> Tensor {
    RotationTable(scaling: scaling)(self, positions)
  }
}

public import AngelCore
package import AngelMemory
import CAngelKernels

/// Strided copy with conversion: the way to permute axes, broadcast and cast (primitives.h).
private struct Copying: TensorOperation {
  static var family: angel_family { ANGEL_FAMILY_copy }
  let output: TensorSpecification
  /// Strides of the source in elements, one for each axis of the output.
  let strides: [Int]
  /// From the gradient of the copy to that of the source.
  let reversed: @Sendable (Tensor) -> Tensor

  func result(of inputs: [TensorSpecification]) -> TensorSpecification { output }

  func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes { KernelDTypes(inputs[0].dtype, output.dtype) }

  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_copy_arguments {
    var arguments = angel_copy_arguments()
    arguments.source = UnsafeRawPointer(inputs[0].address)
    arguments.target = output.address
    withEightAxes(&arguments.sizes) { output.shape.fillSizes($0) }
    withEightAxes(&arguments.strides) { target in
      target.update(repeating: 0)
      for (axis, stride) in strides.enumerated() { target[target.count - strides.count + axis] = Int64(stride) }
    }
    return arguments
  }

  func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let reversed = reversed
    return { [reversed($0)] }
  }
}

extension Copying {
  /// Copies into part of a tensor that is not published yet.
  fileprivate func launch(_ source: Tensor, into target: Tensor) {
    let backend = source.backend
    backend.launch(
      Self.family, KernelDTypes(source.dtype, target.dtype), arguments([source], target),
      Work(bytes: 2 * target.specification.byteCount), keeping: source, target)
  }
}

extension Tensor {
  /// The same values in another plain dtype; floats become integers by truncation toward zero.
  public func cast(to dtype: DType) -> Tensor {
    let original = self.dtype
    guard dtype != original else { return self }
    // Integers have no gradient.
    let source = dtype.isFloatingPoint ? self : detached
    return Copying(output: TensorSpecification(shape, dtype), strides: contiguousStrides) { $0.cast(to: original) }(
      source)
  }

  /// The same values in memory of their own.
  package func copied(to kind: MemoryKind = .activations) -> Tensor {
    let target = Tensor(uninitialized: specification, on: backend, kind: kind)
    Copying(output: specification, strides: contiguousStrides) { $0 }.launch(self, into: target)
    return target.recorded(from: [self]) { _ in { [$0] } }
  }

  /// The axes in another order: axis `i` of the result is axis `order[i]` of this tensor.
  public func permuted(_ order: Int...) -> Tensor { permuted(order) }

  private func permuted(_ order: [Int]) -> Tensor {
    precondition(order.sorted() == Array(0..<shape.rank), "permuted: \(order) is no order of \(shape.rank) axes")
    let output = TensorSpecification(Shape(order.map { shape[$0] }), dtype)
    return Copying(output: output, strides: order.map { contiguousStrides[$0] }) { gradient in
      gradient.permuted(order.indices.map { axis in order.firstIndex(of: axis) ?? axis })
    }(self)
  }

  /// Every value repeated along axes of size 1 (or missing ones) until the tensor has `shape`.
  public func broadcast(to target: Shape) -> Tensor {
    precondition(shape.broadcast(with: target) == target, "broadcast: \(shape) does not broadcast to \(target)")
    let missing = target.rank - shape.rank
    let strides = (0..<target.rank).map { axis in
      axis < missing || shape[axis - missing] == 1 ? 0 : contiguousStrides[axis - missing]
    }
    let original = shape
    return Copying(output: TensorSpecification(target, dtype), strides: strides) { $0.summed(to: original) }(self)
  }

  /// Writes `value`, a scalar or one value for each place of the last axis, all over this tensor, which nobody has seen yet.
  func fill(with value: Tensor) {
    precondition(value.shape.rank <= 1, "fill: \(value.specification) for \(specification)")
    var strides = [Int](repeating: 0, count: shape.rank)
    if value.shape.rank == 1 { strides[shape.rank - 1] = 1 }
    Copying(output: specification, strides: strides) { $0 }.launch(value, into: self)
  }

  /// This tensor as entries `start`... of an outermost axis with `count` entries, the others zero: the gradient of
  /// `prefix`.
  package func embedded(in count: Int, at start: Int) -> Tensor {
    let (entries, rest) = (shape[0], Array(shape.array.dropFirst()))
    precondition(start >= 0 && start + entries <= count, "embedded: \(entries) entries at \(start) of \(count)")
    let result = Tensor(uninitialized: TensorSpecification(Shape([count] + rest), dtype), on: backend)
    let zero = constant(0)
    for (range, isZero) in [(0..<start, true), (start..<(start + entries), false), ((start + entries)..<count, true)]
    where !range.isEmpty {
      let target = result.prefix(range)
      let strides = isZero ? [Int](repeating: 0, count: shape.rank) : contiguousStrides
      Copying(output: target.specification, strides: strides) { $0 }.launch(isZero ? zero : self, into: target)
    }
    return result.recorded(from: [self]) { _ in { [$0.prefix(start..<(start + entries))] } }
  }

  /// Tensors of equal shape and dtype, one after the other along a new outermost axis.
  public static func stacked(_ parts: [Tensor]) -> Tensor {
    let entry = parts[0].specification
    let backend = parts[0].backend
    precondition(parts.allSatisfy { $0.specification == entry }, "stacked: \(parts.map(\.specification)) differ")
    let result = Tensor(
      uninitialized: TensorSpecification(Shape([parts.count] + entry.shape.array), entry.dtype), on: backend)
    let copying = Copying(output: entry, strides: parts[0].contiguousStrides) { $0 }
    for (index, part) in parts.enumerated() {
      copying.launch(part, into: result.prefix(index..<(index + 1)).reshaped(entry.shape.array))
    }
    return result.recorded(from: parts) { wanted in
      { gradient in
        wanted.enumerated().map { index, isWanted in
          isWanted ? gradient.prefix(index..<(index + 1)).reshaped(entry.shape.array) : nil
        }
      }
    }
  }

  private var contiguousStrides: [Int] {
    var strides = [Int](repeating: 1, count: shape.rank)
    for axis in stride(from: shape.rank - 2, through: 0, by: -1) { strides[axis] = strides[axis + 1] * shape[axis + 1] }
    return strides
  }
}

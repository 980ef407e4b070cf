public import AngelCore
package import AngelMemory
import CAngelKernels

/// Strided copy with conversion: the way to permute axes, broadcast and cast (primitives.h).
private struct Copying: TensorOperation {
  static var family: angel_family { ANGEL_FAMILY_copy }
  let output: TensorSpecification
  /// Strides of the source in elements, one for each axis of the output.
  let strides: [Int]

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
}

extension Tensor {
  /// The same values in another plain dtype; floats become integers by truncation toward zero.
  public func cast(to dtype: DType) -> Tensor {
    guard dtype != self.dtype else { return self }
    return Copying(output: TensorSpecification(shape, dtype), strides: contiguousStrides)(self)
  }

  /// The axes in another order: axis `i` of the result is axis `order[i]` of this tensor.
  public func permuted(_ order: Int...) -> Tensor {
    precondition(order.sorted() == Array(0..<shape.rank), "permuted: \(order) is no order of \(shape.rank) axes")
    let output = TensorSpecification(Shape(order.map { shape[$0] }), dtype)
    return Copying(output: output, strides: order.map { contiguousStrides[$0] })(self)
  }

  /// Every value repeated along axes of size 1 (or missing ones) until the tensor has `shape`.
  public func broadcast(to target: Shape) -> Tensor {
    precondition(shape.broadcast(with: target) == target, "broadcast: \(shape) does not broadcast to \(target)")
    let missing = target.rank - shape.rank
    let strides = (0..<target.rank).map { axis in
      axis < missing || shape[axis - missing] == 1 ? 0 : contiguousStrides[axis - missing]
    }
    return Copying(output: TensorSpecification(target, dtype), strides: strides)(self)
  }

  /// Tensors of equal shape and dtype, one after the other along a new outermost axis.
  public static func stacked(_ parts: [Tensor]) -> Tensor {
    let entry = parts[0].specification
    let backend = parts[0].backend
    precondition(parts.allSatisfy { $0.specification == entry }, "stacked: \(parts.map(\.specification)) differ")
    let result = Tensor(
      uninitialized: TensorSpecification(Shape([parts.count] + entry.shape.array), entry.dtype), on: backend)
    let copying = Copying(output: entry, strides: parts[0].contiguousStrides)
    guard let kernel = backend.kernel(Copying.family, KernelDTypes(entry.dtype, entry.dtype)) else {
      preconditionFailure("copy: no kernel on \(backend.device) for \(entry.dtype.name)")
    }
    for (index, part) in parts.enumerated() {
      let target = result.prefix(index..<(index + 1)).reshaped(entry.shape.array)
      withUnsafeBytes(of: copying.arguments([part], target)) {
        backend.launch(kernel, $0, work: Work(bytes: 2 * entry.byteCount))
      }
    }
    withExtendedLifetime(parts) {}
    return result
  }

  /// The same values in memory of another kind.
  package func copied(to kind: MemoryKind) -> Tensor {
    let target = Tensor(uninitialized: specification, on: backend, kind: kind)
    let copying = Copying(output: specification, strides: contiguousStrides)
    guard let kernel = backend.kernel(Copying.family, KernelDTypes(dtype, dtype)) else {
      preconditionFailure("copy: no kernel on \(backend.device) for \(dtype.name)")
    }
    withUnsafeBytes(of: copying.arguments([self], target)) {
      backend.launch(kernel, $0, work: Work(bytes: 2 * specification.byteCount))
    }
    withExtendedLifetime(self) {}
    return target
  }

  private var contiguousStrides: [Int] {
    var strides = [Int](repeating: 1, count: shape.rank)
    for axis in stride(from: shape.rank - 2, through: 0, by: -1) { strides[axis] = strides[axis + 1] * shape[axis + 1] }
    return strides
  }
}

import AngelCore
package import CAngelKernels

/// One operation family: its shape rule, its definition in other operations, and how its kernel is called.
///
/// `composed` is at once the definition, the fallback where a backend has no kernel, and the oracle of the tests.
/// Primitives have none; every arithmetic backend must supply their kernels.
package protocol TensorOperation: Sendable {
  /// The family's C argument struct.
  associatedtype Arguments
  /// The kernel family, whose header states formula, layouts and reduction order.
  static var family: angel_family { get }

  /// Shape and dtype of the result; traps on misuse with the operation, shapes and dtypes.
  func result(of inputs: [TensorSpecification]) -> TensorSpecification
  /// The dtypes the kernel is looked up by.
  func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes
  /// The argument struct for a launch.
  func arguments(_ inputs: [Tensor], _ output: Tensor) -> Arguments
  /// How much there is to do.
  func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work
  /// The definition in other operations, or nil for a primitive.
  func composed(_ inputs: [Tensor]) -> Tensor?
  /// From the gradient of the result to those of the inputs, in other operations; called only when one is wanted.
  ///
  /// `inputs` and `output` are constants. The function should capture as few of them as it can: captured tensors stay in
  /// memory until the backward pass. The default traps: an operation without a gradient cannot be trained through.
  func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction
}

extension TensorOperation {
  package func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes { KernelDTypes(inputs[0].dtype) }

  package func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    Work(bytes: inputs.reduce(output.byteCount) { $0 + $1.byteCount })
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? { nil }

  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    preconditionFailure("\(Self.family.name) has no gradient: its inputs must be constants, not trainable")
  }

  /// The gradient through the composed form, run again in the backward pass: for operations that are rarely trained
  /// through, at the price of the composed form's time and memory.
  package func gradientOfComposed(_ inputs: [Tensor], wanted: [Bool]) -> BackwardFunction {
    { gradient in
      let leaves = zip(wanted, inputs).map { $0 ? $1.asLeaf() : $1 }
      guard let result = composed(leaves) else { preconditionFailure("\(Self.family.name) has no composed form") }
      let gradients = result.gradients(weightedBy: gradient)
      return zip(wanted, leaves).map { $0 ? gradients[$1] : nil }
    }
  }

  /// Runs the operation: its kernel where the backend has one, else its composed form, through which gradients then flow.
  ///
  /// Inputs in bfloat16 that the backend has no kernel for are widened to float32, and the result rounded.
  package func callAsFunction(_ inputs: Tensor...) -> Tensor { result(on: inputs) }

  private func result(on inputs: [Tensor]) -> Tensor {
    let backend = inputs[0].backend
    let specifications = inputs.map(\.specification)
    let output = result(of: specifications)
    for input in inputs.dropFirst() {
      precondition(input.device == backend.device, "\(Self.family.name): \(input.device) against \(backend.device)")
    }
    guard let kernel = backend.kernel(Self.family, kernelDTypes(specifications)) else {
      if inputs.contains(where: { $0.dtype == .bfloat16 }) {
        return result(on: inputs.map { $0.dtype == .bfloat16 ? $0.cast(to: .float32) : $0 }).cast(to: output.dtype)
      }
      guard let result = composed(inputs) else {
        preconditionFailure("\(Self.family.name): no kernel on \(backend.device) for \(specifications)")
      }
      return result
    }
    let tensor = Tensor(uninitialized: output, on: backend)
    backend.launch(kernel, arguments(inputs, tensor), work(specifications, output), keeping: inputs)
    return tensor.recorded(from: inputs) { gradient(inputs.map(\.detached), tensor, wanted: $0) }
  }
}

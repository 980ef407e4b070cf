import AngelCore
import CAngelKernels

extension Tensor {
  /// These float32 rows [N, K] with two of every four consecutive elements made zero: those that matter least (prune.h). A
  /// primitive; K is a multiple of 4.
  ///
  /// - Parameter importance: [K] float32, the mean square of each input (Wanda, arXiv:2306.11695); nil: magnitudes decide.
  package func pruned(importance: Tensor? = nil) -> Tensor {
    precondition(
      dtype == .float32 && shape.rank == 2 && shape[1] % 4 == 0, "prune: \(specification) is not f32 [N, 4 M]")
    precondition(
      importance.map { $0.specification == TensorSpecification([shape[1]], .float32) } ?? true,
      "prune: \(specification) with importance \(importance?.specification.description ?? "")")
    let output = Tensor(uninitialized: specification, on: backend)
    let arguments = angel_prune_arguments(
      input: floats, importance: importance?.floats, output: output.mutableFloats, rows: Int64(shape[0]),
      width: Int64(shape[1]))
    backend.launch(
      ANGEL_FAMILY_prune, KernelDTypes(.float32), arguments,
      Work(bytes: 2 * specification.byteCount, multiplyAdds: 16 * shape.elementCount), keeping: self, importance, output
    )
    return output
  }
}

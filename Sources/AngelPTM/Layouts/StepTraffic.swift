import AngelCore
public import AngelModels
import AngelNN

/// The bytes that a layout puts on the wire, by arithmetic.
public enum StepTraffic {
  /// Bytes of gradients and parameters that all D processes together send in a step of one pass.
  ///
  /// Of parameters of Ψ bytes in float32, gradients are scattered and gathered, or scattered and parameters gathered: (D - 1) Ψ
  /// each. With parted parameters what products read is gathered instead, each time that it is read.
  public static func byteCount(of model: some LanguageModel, _ mesh: MeshConfiguration) -> Int {
    let parameters = model.trainedParameters
    let whole = parameters.reduce(0) { $0 + 4 * $1.parameter.shape.elementCount }
    guard mesh.zero == 3 else { return (mesh.data - 1) * 2 * whole }
    let isTied = !parameters.contains { $0.path == "head.weight" }
    let read = parameters.reduce(0) { sum, entry in
      let isHalf = entry.parameter.computing == .bfloat16 && entry.parameter.role == .matrix
      // Layers run twice; a tied embedding is looked up and is the output head; the last norm is asked for once.
      let isReadTwice = entry.path.hasPrefix("blocks.") || entry.path.hasPrefix("embedding.") && isTied
      return sum + (isReadTwice ? 2 : 1) * (isHalf ? 2 : 4) * entry.parameter.shape.elementCount
    }
    return (mesh.data - 1) * (whole + read)
  }
}

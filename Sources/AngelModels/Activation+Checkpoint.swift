import AngelCheckpoint
import AngelCore
import AngelTensor

extension ConfigurationFields {
  /// Which GELU a configuration names, by the names transformers knows.
  func gelu(_ key: String, default fallback: GELUForm) throws(CheckpointError) -> GELUForm {
    guard let value = self[key] else { return fallback }
    switch value.string {
    case "gelu", "gelu_python": return .erf
    case "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate": return .tanh
    default: throw wrong(key, value, "gelu, gelu_new or gelu_pytorch_tanh")
    }
  }
}

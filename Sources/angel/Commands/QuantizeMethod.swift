import AngelHCF

/// What `angel quantize --method` offers: how inputs are scaled, if at all, and how values are rounded then.
enum QuantizeMethod: String, CaseIterable {
  case nearest
  case weighted
  case gptq
  case awq
  case awqGPTQ = "awq-gptq"
  case smoothQuant = "smoothquant"

  var rounding: RoundingMethod {
    switch self {
    case .nearest, .smoothQuant: .nearest
    case .weighted, .awq: .weighted
    case .gptq, .awqGPTQ: .gptq
    }
  }

  var scaling: ChannelScaling? {
    switch self {
    case .nearest, .weighted, .gptq: nil
    case .awq, .awqGPTQ: .awareOfInputs
    case .smoothQuant: .smooth
    }
  }

  /// Whether it runs the model over a text.
  var needsText: Bool { self != .nearest }
}

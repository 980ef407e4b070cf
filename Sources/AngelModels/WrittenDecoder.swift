import AngelCheckpoint
import AngelCore
import AngelNN

/// What the configurations of decoders with rotary positions have in common when they are written.
protocol WrittenDecoder: LanguageModelConfiguration {
  var hiddenSize: Int { get }
  var layerCount: Int { get }
  var headCount: Int { get }
  var keyValueHeadCount: Int { get }
  var headSize: Int { get }
  /// Elements of a head that are rotated: all of them unless the family says otherwise.
  var rotatedSize: Int { get }
  var normEpsilon: Float { get }
  var rotaryBase: Float { get }
  var rotaryScaling: RotaryScaling { get }
  var tiesEmbeddings: Bool { get }
}

extension WrittenDecoder {
  var rotatedSize: Int { headSize }

  /// `partial_rotary_factor`: readers multiply it by the head size and drop the fraction, which must give `rotatedSize`.
  var rotatedShare: JSONValue {
    var share = Float(rotatedSize) / Float(headSize)
    func isEnough() -> Bool {
      let written = Double("\(share)") ?? Double(share)
      return Int(written * Double(headSize)) >= rotatedSize && Int(Float(written) * Float(headSize)) >= rotatedSize
    }
    while share < 1, !isEnough() { share = share.nextUp }
    return .float(share)
  }

  /// The fields of config.json under their usual names, with those of a family after them.
  func huggingFaceFields(
    _ architecture: String, type: String, activation: String = "hidden_act", _ own: [(String, JSONValue)]
  ) -> JSONObject {
    JSONObject(
      [
        ("architectures", [.string(architecture)]), ("model_type", .string(type)),
        ("vocab_size", .integer(vocabularySize)), ("hidden_size", .integer(hiddenSize)),
        ("num_hidden_layers", .integer(layerCount)), ("num_attention_heads", .integer(headCount)),
        ("num_key_value_heads", .integer(keyValueHeadCount)), ("head_dim", .integer(headSize)),
        (activation, "silu"), ("max_position_embeddings", .integer(contextLength)),
        ("rms_norm_eps", .float(normEpsilon)), ("rope_theta", .float(rotaryBase)),
        ("rope_scaling", rotaryScaling.huggingFaceFields(contextLength: contextLength)),
        ("tie_word_embeddings", .bool(tiesEmbeddings)),
      ] + own)
  }

  /// GGUF's keys, with those of a family after them.
  func ggufFields(_ architecture: String, _ own: [(key: String, value: GGUFValue)]) throws(ConversionError)
    -> GGUFFields
  {
    var fields = GGUFFields(
      architecture: architecture,
      metadata: [
        ("vocab_size", .size(vocabularySize)), ("context_length", .size(contextLength)),
        ("embedding_length", .size(hiddenSize)), ("block_count", .size(layerCount)),
        ("attention.head_count", .size(headCount)), ("attention.head_count_kv", .size(keyValueHeadCount)),
        ("attention.key_length", .size(headSize)), ("attention.value_length", .size(headSize)),
        ("rope.dimension_count", .size(rotatedSize)), ("attention.layer_norm_rms_epsilon", .float32(normEpsilon)),
      ] + own)
    try rotaryScaling.write(to: &fields, size: rotatedSize, base: rotaryBase)
    return fields
  }
}

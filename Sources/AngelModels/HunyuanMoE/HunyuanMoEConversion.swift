import AngelCheckpoint
public import AngelCore

extension HunyuanMoEConfiguration: WrittenDecoder {}

extension HunyuanMoEModel: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: HunyuanMoEConfiguration) throws -> JSONObject {
    guard let experts = configuration.experts.first, configuration.experts.allSatisfy({ $0 == experts }) else {
      throw ConversionError.noWord(for: "experts that differ from layer to layer", in: .huggingFace)
    }
    let shared = experts.sharedInnerSize
    return configuration.huggingFaceFields(
      "HunYuanMoEV1ForCausalLM", type: "hunyuan_v1_moe",
      [
        ("intermediate_size", .integer(shared > 0 ? shared : experts.innerSize)),
        ("num_experts", .integer(experts.expertCount)), ("moe_topk", .integer(experts.expertsPerToken)),
        ("moe_intermediate_size", .integer(experts.innerSize)), ("num_shared_expert", 1),
        ("use_mixed_mlp_moe", .bool(shared > 0)), ("use_qk_norm", true),
        ("attention_bias", .bool(configuration.usesAttentionBias)),
      ])
  }

  public static func ggufFields(of configuration: HunyuanMoEConfiguration) throws -> GGUFFields {
    guard let experts = configuration.experts.first, configuration.experts.allSatisfy({ $0 == experts }) else {
      throw ConversionError.noWord(for: "experts that differ from layer to layer", in: .gguf)
    }
    let shared = experts.sharedInnerSize
    return try configuration.ggufFields(
      "hunyuan-moe",
      [
        ("feed_forward_length", .size(shared > 0 ? shared : experts.innerSize)),
        ("expert_count", .size(experts.expertCount)), ("expert_used_count", .size(experts.expertsPerToken)),
        ("expert_feed_forward_length", .size(experts.innerSize)),
        ("expert_shared_count", .size(shared > 0 ? 1 : 0)), ("expert_shared_feed_forward_length", .size(shared)),
      ])
  }
}

import AngelCheckpoint
public import AngelCore

extension Qwen3MoEConfiguration: WrittenDecoder {}

extension Qwen3MoEModel: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: Qwen3MoEConfiguration) -> JSONObject {
    let experts = configuration.experts
    return configuration.huggingFaceFields(
      "Qwen3MoeForCausalLM", type: "qwen3_moe",
      [
        ("intermediate_size", .integer(configuration.innerSize)), ("num_experts", .integer(experts.expertCount)),
        ("num_experts_per_tok", .integer(experts.expertsPerToken)),
        ("moe_intermediate_size", .integer(experts.innerSize)), ("norm_topk_prob", .bool(experts.normalizesWeights)),
        ("decoder_sparse_step", 1),
        ("mlp_only_layers", .array(configuration.denseLayers.sorted().map { .integer($0) })),
        ("attention_bias", .bool(configuration.usesAttentionBias)), ("use_sliding_window", false),
      ])
  }

  public static func ggufFields(of configuration: Qwen3MoEConfiguration) throws -> GGUFFields {
    guard configuration.experts.normalizesWeights else {
      throw ConversionError.noWord(for: "experts whose weights are not divided by their sum", in: .gguf)
    }
    return try configuration.ggufFields(
      "qwen3moe",
      [
        ("feed_forward_length", .size(configuration.innerSize)),
        ("expert_count", .size(configuration.experts.expertCount)),
        ("expert_used_count", .size(configuration.experts.expertsPerToken)),
        ("expert_feed_forward_length", .size(configuration.experts.innerSize)),
      ])
  }
}

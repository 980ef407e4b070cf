public import AngelCheckpoint
import AngelCore
import AngelNN

extension MixtralModel {
  public static func configuration(of checkpoint: Checkpoint) throws -> MixtralConfiguration {
    var configuration =
      switch checkpoint.layout {
      case .huggingFace: try huggingFace(ConfigurationFields(checkpoint))
      case .gguf: try gguf(ConfigurationFields(checkpoint, prefix: checkpoint.architecture + "."), checkpoint)
      }
    try configuration.check(path: checkpoint.path)
    try MixtureOfExperts.Shape.check(
      [MixtureOfExperts.Shape](repeating: configuration.experts, count: configuration.layerCount), path: checkpoint.path
    )
    let names = Self.names(for: configuration)
    configuration.tiesEmbeddings = try names.tiesHead(in: checkpoint, declared: configuration.tiesEmbeddings)
    return configuration
  }

  private static func huggingFace(_ fields: ConfigurationFields) throws -> MixtralConfiguration {
    var result = MixtralConfiguration()
    result.vocabularySize = try fields.integer("vocab_size", in: 1...1 << 24)
    result.hiddenSize = try fields.integer("hidden_size", in: 1...1 << 20)
    result.layerCount = try fields.integer("num_hidden_layers", in: 1...4096)
    result.headCount = try fields.integer("num_attention_heads", in: 1...65_536)
    result.keyValueHeadCount = try fields.integer("num_key_value_heads", in: 1...65_536, default: 8)
    result.headSize = try fields.integer(
      "head_dim", in: 1...4096, default: max(1, result.hiddenSize / result.headCount))
    // Written as num_local_experts; transformers 5 also knows the general name.
    let experts = fields["num_local_experts"] != nil ? "num_local_experts" : "num_experts"
    result.experts = MixtureOfExperts.Shape(
      expertCount: try fields.integer(experts, in: 1...65_536, default: 8),
      expertsPerToken: try fields.integer("num_experts_per_tok", in: 1...65_536, default: 2),
      innerSize: try fields.integer("intermediate_size", in: 1...1 << 24))
    result.contextLength = try fields.integer("max_position_embeddings", default: 131_072)
    result.window = try fields.integerOrNull("sliding_window", default: nil) ?? 0
    result.normEpsilon = try fields.float("rms_norm_eps", default: 1e-5)
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.huggingFace(
      fields, size: result.headSize, contextLength: result.contextLength)
    // Dynamic scaling is made for texts longer than the length in the file.
    if case .dynamic(let factor, let original) = result.rotaryScaling {
      result.contextLength = Int(min(Float(original) * max(factor, 1), Float(1 << 31)))
    }
    result.tiesEmbeddings = try fields.bool("tie_word_embeddings", default: false)
    if let activation = fields["hidden_act"], activation != "silu" {
      throw fields.wrong("hidden_act", activation, "\"silu\"")
    }
    return result
  }

  /// Its files call themselves llama; the catalog sends those here that count experts.
  private static func gguf(_ fields: ConfigurationFields, _ checkpoint: Checkpoint) throws -> MixtralConfiguration {
    var result = MixtralConfiguration()
    result.vocabularySize = try checkpoint.rowCount(of: "token_embd.weight")
    result.hiddenSize = try fields.integer("embedding_length", in: 1...1 << 20)
    result.layerCount = try fields.integer("block_count", in: 1...4096)
    result.headCount = try fields.integer("attention.head_count", in: 1...65_536)
    result.keyValueHeadCount = try fields.integer("attention.head_count_kv", in: 1...65_536, default: result.headCount)
    result.headSize = try fields.integer(
      "attention.key_length", in: 1...4096, default: max(1, result.hiddenSize / result.headCount))
    let inner = try fields.integer("feed_forward_length", in: 1...1 << 24)
    result.experts = MixtureOfExperts.Shape(
      expertCount: try fields.integer("expert_count", in: 1...65_536),
      expertsPerToken: try fields.integer("expert_used_count", in: 1...65_536),
      innerSize: try fields.integer("expert_feed_forward_length", in: 1...1 << 24, default: inner))
    result.contextLength = try fields.integer("context_length")
    result.window = try fields.integer("attention.sliding_window", in: 0...1 << 31, default: 0)
    result.normEpsilon = try fields.float("attention.layer_norm_rms_epsilon")
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.gguf(
      fields, checkpoint, size: result.headSize, contextLength: result.contextLength)
    return result
  }

  public static func names(for configuration: MixtralConfiguration) -> NameTable {
    let interleaved = RowOrder.interleavedHalves(headSize: configuration.headSize)
    return NameTable([
      .init("embedding.weight", huggingFace: "model.embed_tokens.weight", gguf: "token_embd.weight"),
      .init("norm.weight", huggingFace: "model.norm.weight", gguf: "output_norm.weight"),
      .init("head.weight", huggingFace: "lm_head.weight", gguf: "output.weight"),
      block("attentionNorm.weight", "input_layernorm.weight", "attn_norm.weight"),
      block("attention.query.weight", "self_attn.q_proj.weight", "attn_q.weight", interleaved),
      block("attention.key.weight", "self_attn.k_proj.weight", "attn_k.weight", interleaved),
      block("attention.value.weight", "self_attn.v_proj.weight", "attn_v.weight"),
      block("attention.output.weight", "self_attn.o_proj.weight", "attn_output.weight"),
      block("feedForwardNorm.weight", "post_attention_layernorm.weight", "ffn_norm.weight"),
      .init(
        "blocks.*.feedForward.router.weight", huggingFace: "model.layers.*.block_sparse_moe.gate.weight",
        gguf: "blk.*.ffn_gate_inp.weight", huggingFaceStack: .init("model.layers.*.mlp.gate.weight")),
      expert("gate", "w1", "gate", .init("gate_up_proj", share: 0, of: 2)),
      expert("up", "w3", "up", .init("gate_up_proj", share: 1, of: 2)),
      expert("down", "w2", "down", .init("down_proj")),
    ])
  }

  /// A tensor each by the release's names, or stacked by those of transformers 5.
  private static func expert(
    _ name: String, _ huggingFace: String, _ gguf: String, _ stack: NameTable.Stack
  ) -> NameTable.Entry {
    .init(
      "blocks.*.feedForward.experts.*.\(name).weight",
      huggingFace: "model.layers.*.block_sparse_moe.experts.*.\(huggingFace).weight",
      gguf: "blk.*.ffn_\(gguf)_exps.weight",
      huggingFaceStack: .init("model.layers.*.mlp.experts." + stack.name, share: stack.share, of: stack.shareCount))
  }

  private static func block(
    _ path: String, _ huggingFace: String, _ gguf: String, _ rows: RowOrder = .identity
  ) -> NameTable.Entry {
    .init("blocks.*." + path, huggingFace: "model.layers.*." + huggingFace, gguf: "blk.*." + gguf, ggufRows: rows)
  }
}

extension MixtralConfiguration: RotaryDecoderConfiguration {}

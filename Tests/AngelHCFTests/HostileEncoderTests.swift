import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelTesting
import Testing

@Suite("Hostile encoders")
struct HostileEncoderTests {
  static let fields: [HostileCase] = [
    .field("num_attention_heads", 3, "a divisor of the hidden size, 32"),
    .field("num_attention_heads", 0, "'num_attention_heads' is 0"),
    .field("hidden_size", .integer(1 << 20), "heads of at most 512"),
    .field("hidden_size", 64, "configuration asks for"),
    .field("max_position_embeddings", 41, "configuration asks for [41, 32]"),
    .field("type_vocab_size", 0, "'type_vocab_size' is 0"),
    .field("num_hidden_layers", 3, "no tensor 'encoder.layer.2."),
    .field("num_hidden_layers", 1, "no place for tensor 'encoder.layer.1."),
    .field("layer_norm_eps", -1, "'layer_norm_eps' is -1"),
    .field("hidden_act", "relu", "'hidden_act' is \"relu\""),
    .field("position_embedding_type", "relative_key", "'position_embedding_type' is \"relative_key\""),
    .field("is_decoder", true, "'is_decoder' is true"),
  ]

  @Test("are refused by name", arguments: fields)
  func refusal(_ example: HostileCase) throws {
    var model = try TinyModel(Goldens.path("models/bert-tiny"))
    example.spoil(&model)
    let folder = try model.folder()
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    #expect {
      _ = try TextEmbedder(Checkpoint.open(folder.path), on: backend, pool: backend.pool)
    } throws: { error in
      "\(error)".contains(example.message)
    }
    #expect(backend.pool.usage.byteCount == 0)
  }
}

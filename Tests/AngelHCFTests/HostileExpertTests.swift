import AngelCore
import AngelHCF
import AngelTesting
import Testing

@Suite("Hostile models with experts")
struct HostileExpertTests {
  static let ofQwen: [HostileCase] = [
    .field("num_experts_per_tok", 9, "the number of experts a token uses is 9"),
    .field("num_experts_per_tok", 0, "'num_experts_per_tok' is 0"),
    .field("num_experts", 9, "configuration asks for [9, 32]"),
    experts(9, "no tensor 'model.layers.0.mlp.experts.8.gate_proj.weight'"),
    experts(7, "no place for tensor 'model.layers.0.mlp.experts.7."),
    .field("num_experts", .integer(1 << 40), "'num_experts'"),
    .field("moe_intermediate_size", 31, "configuration asks for"),
    .field("decoder_sparse_step", 0, "'decoder_sparse_step' is 0"),
    .field("mlp_only_layers", ["first"], "'mlp_only_layers' is [\"first\"]"),
    .field("mlp_only_layers", [0], "no tensor 'model.layers.0.mlp.gate_proj.weight'"),
    HostileCase("experts without end", "the number of experts of all layers") {
      $0.configuration["num_experts"] = 65_536
      $0.configuration["num_hidden_layers"] = 4096
    },
    HostileCase("an expert of another type", "convert them to one type") { model in
      let name = "model.layers.1.mlp.experts.3.up_proj.weight"
      model.tensors[name] = model.tensors[name].map {
        TinyModel.Entry("F16", $0.shape, [UInt8](repeating: 0, count: $0.bytes.count / 2))
      }
    },
    HostileCase("a router with too many rows", "configuration asks for [8, 32]") {
      $0.tensors["model.layers.0.mlp.gate.weight"] = .init([9, 32], [Float](repeating: 0, count: 9 * 32))
    },
  ]

  static let stackedOnes: [HostileCase] = [
    experts(4, "no place for tensor 'model.layers.0.mlp.experts."),
    experts(6, "6 or more"),
    .field("moe_intermediate_size", 23, "configuration asks for entries of"),
    HostileCase("a stack with an axis less", "configuration asks for entries of") {
      let name = "model.layers.0.mlp.experts.gate_up_proj"
      $0.tensors[name] = .init([5 * 48, 32], [Float](repeating: 0, count: 5 * 48 * 32))
    },
  ]

  static let ofHunyuan: [HostileCase] = [
    .field("moe_topk", [2], "'moe_topk' is [2], expected 2 whole numbers"),
    .field("moe_topk", [2, "two"], "'moe_topk'"),
    .field("moe_topk", [2, 9], "the number of experts a token uses is 9"),
    .field("num_shared_expert", [1, 2], "configuration asks for"),
    .field("use_cla", true, "'use_cla' is true"),
    .field("use_mla", true, "'use_mla' is true"),
    .field("use_qk_norm", false, "'use_qk_norm' is false"),
    .field("moe_layer_num_skipped", 1, "'moe_layer_num_skipped' is 1"),
    .scaling(["type": "dynamic", "alpha": -1000.0], "'alpha' is -1000"),
    .scaling(["type": "dynamic", "alpha": 1e38], "'alpha' is 1e+38"),
  ]

  /// A configuration and routers of that many experts, not the experts themselves.
  private static func experts(_ count: Int, _ message: String) -> HostileCase {
    HostileCase("\(count) experts", message) { model in
      model.configuration["num_experts"] = .integer(count)
      for layer in 0..<2 {
        model.tensors["model.layers.\(layer).mlp.gate.weight"] = .init(
          [count, 32], [Float](repeating: 0, count: count * 32))
      }
    }
  }

  @Test("are refused by name", arguments: ofQwen)
  func qwen(_ example: HostileCase) throws { try refuse(example, "qwen3_moe-tiny") }

  @Test("are refused by name, with stacked experts", arguments: stackedOnes)
  func stacked(_ example: HostileCase) throws { try refuse(example, "qwen3_moe-tiny-stacked") }

  @Test("are refused by name, with sizes as lists", arguments: ofHunyuan)
  func hunyuan(_ example: HostileCase) throws { try refuse(example, "hunyuan_v1_moe-tiny") }

  private func refuse(_ example: HostileCase, _ name: String) throws {
    var model = try TinyModel(Goldens.path("models/" + name))
    example.spoil(&model)
    let folder = try model.folder()
    #expect {
      _ = try makeSession(folder.path)
    } throws: { error in
      let message = "\(error)"
      return message.contains(example.message)
        || {
          Issue.record("\(message)"); return false
        }()
    }
  }
}

public import AngelCheckpoint
import AngelCore
import AngelNN
import AngelTensor

extension PEFTFolder {
  /// Writes the adapters of `model`, which are trained ones, to the folder at `path`.
  ///
  /// - Parameters:
  ///   - base: what the adapters were trained on, as it is named to users.
  ///   - chatTemplate: what wrote the turns they were trained on, where it is not the model's own.
  public static func write(
    _ model: some LanguageModel, _ shape: AdapterShape, names: NameTable, base: String,
    chatTemplate: String? = nil, to path: String
  ) throws {
    var adapters: [String: Parameter] = [:]
    var copy = model
    copy.visitLinearLayers { layer, linear in
      guard let adapter = linear.adapter, let name = Self.name(of: layer, names) else { return }
      adapters[name + ".lora_A.weight"] = adapter.down
      adapters[name + ".lora_B.weight"] = adapter.up
      if case .learnt(let lengths, _)? = adapter.magnitude { adapters[name + ".lora_magnitude_vector"] = lengths }
    }
    let sources = adapters.map {
      TensorSource(name: $0.key, dtype: .float32, shape: $0.value.shape, pieces: [])
    }.sorted { $0.name < $1.name }
    let writer = try ModelFolderWriter(path: path)
    try writer.write(document(shape, base: base), as: "adapter_config.json")
    if let chatTemplate { try writer.write(chatTemplate, as: HuggingFaceFiles.chatTemplateName) }
    try writer.writeTensors(sources, shardBytes: .max, named: "adapter_model") { source, write in
      guard let tensor = adapters[source.name]?.trainedValues?.values else { return }
      try tensor.withHostBytes(write)
    }
    try writer.finish()
  }

  private static func document(_ shape: AdapterShape, base: String) -> JSONValue {
    [
      "base_model_name_or_path": .string(base), "bias": "none", "fan_in_fan_out": false, "inference_mode": true,
      "init_lora_weights": true, "lora_alpha": .number(shape.alpha), "lora_dropout": 0,
      "modules_to_save": nil, "peft_type": "LORA", "r": .integer(shape.rank),
      "target_modules": .array(shape.targets.map { .string($0) }), "task_type": "CAUSAL_LM",
      "use_dora": .bool(shape.dora), "use_rslora": .bool(shape.rslora),
    ]
  }
}

public import AngelCheckpoint
import AngelCore
public import AngelModels
import AngelNN
import AngelTensor

/// Adapters on disk as the PEFT library has them: `adapter_config.json` and `adapter_model.safetensors`.
public enum PEFTFolder {
  /// Writes the adapters of `model` to the folder at `path`.
  ///
  /// - Parameter base: what the adapters were trained on, as it is named to users.
  public static func write(
    _ model: some LanguageModel, _ configuration: LoRAConfiguration, names: NameTable, base: String, to path: String
  ) throws {
    var adapters: [String: Parameter] = [:]
    var copy = model
    copy.visitLinearLayers { layer, linear in
      guard let adapter = linear.adapter, let name = Self.name(of: layer, names) else { return }
      adapters[name + ".lora_A.weight"] = adapter.down
      adapters[name + ".lora_B.weight"] = adapter.up
      adapters[name + ".lora_magnitude_vector"] = adapter.magnitude
    }
    let sources = adapters.map {
      TensorSource(name: $0.key, dtype: .float32, shape: $0.value.shape, pieces: [])
    }.sorted { $0.name < $1.name }
    let writer = try ModelFolderWriter(path: path)
    try writer.write(document(configuration, base: base), as: "adapter_config.json")
    try writer.writeTensors(sources, shardBytes: .max, named: "adapter_model") { source, write in
      guard let tensor = adapters[source.name]?.trainedValues?.values else { return }
      try tensor.withHostBytes(write)
    }
    try writer.finish()
  }

  /// The configuration of the adapters in the folder at `path`; throws naming what is not supported.
  public static func configuration(at path: String) throws -> LoRAConfiguration {
    let file = FilePath.join(path, "adapter_config.json")
    let object = try JSONValue(parsing: MappedFile.bytes(of: file), maximumDepth: 16)
    guard object["peft_type"]?.string == "LORA" else {
      throw PTMError.checkpoint(path: file, reason: "peft_type must be LORA")
    }
    for key in unsupported {
      guard let value = object[key], !value.isNull, value != false, value != "none",
        value.object?.members.isEmpty != true,
        value.array?.isEmpty != true
      else { continue }
      throw PTMError.checkpoint(path: file, reason: "\(key) is \(value.encoded()), which is not supported")
    }
    var result = LoRAConfiguration()
    guard let rank = object["r"]?.integer, (1...4096).contains(rank), let alpha = object["lora_alpha"]?.double,
      alpha > 0,
      let targets = object["target_modules"]?.array?.compactMap(\.string), !targets.isEmpty
    else { throw PTMError.checkpoint(path: file, reason: "r, lora_alpha and a list of target_modules are needed") }
    result.rank = rank
    result.alpha = alpha
    result.targets = targets
    result.from = path
    result.rslora = object["use_rslora"]?.bool == true
    result.dora = object["use_dora"]?.bool == true
    return result
  }

  /// Fills the adapters of `model` from the folder at `path`; every adapter must be there, and nothing else.
  public static func load(into model: some LanguageModel, names: NameTable, from path: String) throws {
    let file = try SafetensorsFile(path: FilePath.join(path, "adapter_model.safetensors"))
    var tensors = Dictionary(file.header.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    var wanted: [(name: String, parameter: Parameter)] = []
    var copy = model
    copy.visitLinearLayers { layer, linear in
      guard let adapter = linear.adapter, let name = Self.name(of: layer, names) else { return }
      wanted += [(name + ".lora_A.weight", adapter.down), (name + ".lora_B.weight", adapter.up)]
      if let magnitude = adapter.magnitude { wanted.append((name + ".lora_magnitude_vector", magnitude)) }
    }
    for (name, parameter) in wanted {
      guard let tensor = tensors.removeValue(forKey: name), tensor.shape == parameter.shape,
        let dtype = tensor.dtype, dtype.isFloatingPoint, let backend = parameter.trained?.backend
      else { throw PTMError.checkpoint(path: path, reason: "it has no tensor \(quoted(name)) of \(parameter.shape)") }
      let values = try file.file.withBytes(tensor.byteRange) {
        Tensor(bytes: $0, shape: tensor.shape, dtype: dtype, on: backend)
      }
      parameter.value = .trained(values.cast(to: .float32).copied())
    }
    guard let left = tensors.keys.sorted().first else { return }
    throw PTMError.checkpoint(path: path, reason: "tensor \(quoted(left)) belongs to no adapted layer of this model")
  }

  /// Settings that change what an adapter computes; absent, null, false, none and empty are fine.
  private static let unsupported = [
    "alpha_pattern", "bias", "exclude_modules", "fan_in_fan_out", "layer_replication", "layers_to_transform",
    "lora_bias",
    "modules_to_save", "rank_pattern", "target_parameters", "trainable_token_indices", "use_bdlora",
    "use_qalora",
  ]

  /// What PEFT calls the layer at the path `layer`; nil for one that releases store transposed or joined with others, of which
  /// its files cannot speak.
  static func name(of layer: String, _ names: NameTable) -> String? {
    guard let place = names.tensor(forParameter: layer + ".weight", in: .huggingFace), place.form == .plain,
      place.entry == nil, place.name.hasSuffix(".weight")
    else { return nil }
    return "base_model.model." + place.name.dropLast(7)
  }

  private static func document(_ configuration: LoRAConfiguration, base: String) -> JSONValue {
    [
      "base_model_name_or_path": .string(base), "bias": "none", "fan_in_fan_out": false, "inference_mode": true,
      "init_lora_weights": true, "lora_alpha": .number(configuration.alpha), "lora_dropout": 0,
      "modules_to_save": nil, "peft_type": "LORA", "r": .integer(configuration.rank),
      "target_modules": .array(configuration.targets.map { .string($0) }), "task_type": "CAUSAL_LM",
      "use_dora": .bool(configuration.dora), "use_rslora": .bool(configuration.rslora),
    ]
  }
}

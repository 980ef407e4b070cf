package import AngelCheckpoint
import AngelCore

/// Adapters on disk as the PEFT library has them: `adapter_config.json` and `adapter_model.safetensors`.
public struct PEFTFolder: Sendable {
  public let path: String
  public let shape: AdapterShape
  /// What wrote the turns that the adapters were trained on; nil where that is the model's own.
  public let chatTemplate: String?
  let file: SafetensorsFile
  public static let tensorsName = "adapter_model.safetensors"

  /// Opens the folder at `path`; throws naming what is not supported.
  public init(path: String) throws {
    guard FilePath.kind(path) == .folder else {
      throw ModelError.adapter(path: path, reason: "it is no folder: give one with adapter_config.json in it")
    }
    self.path = path
    file = try SafetensorsFile(path: FilePath.join(path, Self.tensorsName))
    let template = FilePath.join(path, HuggingFaceFiles.chatTemplateName)
    chatTemplate =
      FilePath.kind(template) == .file
      ? String(decoding: try FilePath.contents(of: template, limit: 1 << 20), as: UTF8.self) : nil
    shape = try Self.shape(in: FilePath.join(path, "adapter_config.json"), file)
  }

  private static func shape(in path: String, _ file: SafetensorsFile) throws -> AdapterShape {
    func refuse(_ reason: String) -> ModelError { .adapter(path: path, reason: reason) }
    let bytes = try FilePath.contents(of: path, limit: 1 << 20)
    let object: JSONValue
    do { object = try JSONValue(parsing: bytes, maximumDepth: 16) } catch { throw refuse("it is no JSON (\(error))") }
    guard object["peft_type"]?.string == "LORA" else { throw refuse("peft_type must be LORA") }
    for key in unsupported {
      guard let value = object[key], !isNothing(value) else { continue }
      throw refuse("\(key) is \(value.encoded()), which is not supported")
    }
    guard let rank = object["r"]?.integer, (1...4096).contains(rank), let alpha = object["lora_alpha"]?.double,
      (1e-6...1e6).contains(alpha)
    else { throw refuse("r (1 to 4096) and lora_alpha (1e-6 to 1e6) are needed") }
    var shape = AdapterShape()
    shape.rank = rank
    shape.alpha = alpha
    shape.targets = object["target_modules"]?.array?.compactMap(\.string) ?? lastNames(in: file)
    shape.rslora = object["use_rslora"]?.bool == true
    shape.dora = object["use_dora"]?.bool == true
    return shape
  }

  private static func isNothing(_ value: JSONValue) -> Bool {
    value.isNull || value == false || value == "none" || value.object?.members.isEmpty == true
      || value.array?.isEmpty == true
  }

  /// The last words of the adapted layers' names: what `target_modules` would list where it is a pattern.
  private static func lastNames(in file: SafetensorsFile) -> [String] {
    Set(
      file.header.tensors.compactMap { tensor in
        tensor.name.hasSuffix(".lora_A.weight")
          ? tensor.name.split(separator: ".").dropLast(2).last.map(String.init) : nil
      }
    ).sorted()
  }

  /// Settings that change what an adapter computes; absent, null, false, none and empty are fine.
  private static let unsupported = [
    "alora_invocation_tokens", "alpha_pattern", "bias", "fan_in_fan_out", "layer_replication", "lora_bias",
    "modules_to_save", "rank_pattern",
    "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora",
  ]

  /// What PEFT calls the layer at the path `layer`; nil for one that releases store transposed or joined with others, of which
  /// its files cannot speak.
  package static func name(of layer: String, _ names: NameTable) -> String? {
    guard let place = names.tensor(forParameter: layer + ".weight", in: .huggingFace), place.form == .plain,
      place.entry == nil, place.name.hasSuffix(".weight")
    else { return nil }
    return "base_model.model." + place.name.dropLast(7)
  }
}

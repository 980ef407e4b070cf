import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelModels

/// `angel models convert`: writes a model in another layout or type.
enum ConvertModel {
  enum Format: String, CaseIterable, Sendable {
    case gguf, safetensors
    /// A folder of safetensors whose linear layers are whole numbers and scales.
    case compressedTensors = "compressed-tensors"
  }
  /// The types that weights can be written in.
  enum WeightType: String, CaseIterable, Sendable {
    case f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0

    var dtype: DType {
      switch self {
      case .f32: .float32
      case .f16: .float16
      case .bf16: .bfloat16
      case .q8_0: .q8_0
      case .q5_1: .q5_1
      case .q5_0: .q5_0
      case .q4_1: .q4_1
      case .q4_0: .q4_0
      }
    }
  }

  static let format = Option<Format?>.choice("format", help: "convert: the layout to write")
  static let type = Option<WeightType?>.choice("type", help: "convert: the type of the matrices")
  static let splitBytes = Option<Int?>.custom(
    "split-bytes", placeholder: "SIZE", expects: "a size such as 2G or 500M, from 1M on",
    help: "convert: the most bytes of tensors in one file (default: one GGUF file; 5 GB of safetensors)"
  ) { text in
    (try? MemoryFormat.byteCount(of: text)).flatMap { $0 >= 1_000_000 ? $0 : nil }
  }
  static let options = [format.declaration, type.declaration, splitBytes.declaration]

  static func run(
    _ model: ModelStore.ResolvedModel, _ target: String, _ arguments: Arguments, _ context: CommandContext
  ) throws {
    let isFile = target.lowercased().hasSuffix(".gguf")
    let chosen = arguments[format] ?? (isFile ? .gguf : .safetensors)
    let layout: Checkpoint.Layout = chosen == .gguf ? .gguf : .huggingFace
    var request = ModelConverter.Request(target: target, layout: layout, matrixType: arguments[type]?.dtype)
    request.splitBytes = arguments[splitBytes]
    request.packsLayers = chosen == .compressedTensors
    request.replaces = arguments[ModelsCommand.force]
    let checkpoint = try Checkpoint.open(model.path)
    let display = context.progress.start("converting \(model.name)", total: nil)
    let converter = ModelConverter(on: try CPUBackend(threadCount: context.threads)) { written, total in
      try context.interruption.check()
      display.update(to: written, total: total)
    }
    let result = try context.interruption.deferred { try converter.convert(checkpoint, request) }
    display.finish()
    let bytes = result.byteCounts.reduce(0) { $0 + $1.bytes }
    if context.printsJSON {
      let types = JSONObject(result.byteCounts.map { ($0.type.name, .integer($0.bytes)) })
      return try context.print([
        "converted": .string(model.name), "path": .string(result.path), "architecture": .string(result.architecture),
        "format": .string(chosen.rawValue), "tensors": .integer(result.tensorCount),
        "bytes": .integer(bytes), "types": .object(types),
      ])
    }
    let types = result.byteCounts.map { "\($0.type.name) \(TextFormat.bytes($0.bytes))" }.joined(separator: ", ")
    try context.output.line("\(model.name) is at \(result.path): \(result.tensorCount) tensors, \(types)")
  }
}

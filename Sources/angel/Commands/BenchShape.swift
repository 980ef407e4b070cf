import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelModels
import AngelTensor

/// Sizes of well-known models, for measuring without their files.
enum BenchShape: String, CaseIterable {
  case smolLM2 = "smollm2-135m"
  case llama1B = "llama-1b"

  var configuration: LlamaConfiguration {
    switch self {
    case .smolLM2: .smolLM2_135M
    case .llama1B: .llama1B
    }
  }

  static let option = Option<BenchShape?>.custom(
    "shape", placeholder: allCases.map(\.rawValue).joined(separator: "|"),
    expects: allCases.map(\.rawValue).joined(separator: " or "), default: nil, defaultText: nil,
    help: "instead of MODEL: these sizes with random weights"
  ) { BenchShape(rawValue: $0).map(Optional.some) }

  /// The dtypes a weight can be held in.
  static let formats = DType.allCases.filter { PackedMatrix.byteCount(dtype: $0, columns: 16, depth: 256) != nil }
  static let format = Option<DType>.custom(
    "format", placeholder: "DTYPE", expects: formats.map(\.name).joined(separator: ", "), default: .q4_0,
    defaultText: DType.q4_0.name, help: "with --shape: what all matrices are held in"
  ) { name in formats.first { $0.name == name } }

  /// An engine over a model of these sizes whose weights are random.
  func makeEngine(
    _ format: DType, _ arguments: Arguments, among peers: PeerWorld?, on backend: CPUBackend, _ context: CommandContext
  ) throws -> InferenceEngine {
    var model = LlamaModel(configuration)
    if let peers = peers?.peers {
      if let obstacle = model.obstacle(toSharingOver: peers.count) {
        throw ModelError.notShared(path: rawValue, reason: obstacle)
      }
      _ = model.shareOut(LlamaModel.parallelPlan, among: peers)
    }
    let display = context.progress.start(
      "filling \(rawValue)", total: model.parameterShapes().count, unit: .items("weights"))
    let filler = ParameterFiller(dtype: format, on: backend, arithmetic: context.arithmetic) { filled, _ in
      display.update(to: filled)
    }
    try filler.fill(&model)
    display.finish()
    var options = try SessionOptions.engine(
      arguments, context, contextLength: BenchInference.contextLength(arguments))
    options.peers = peers?.peers
    return try InferenceEngine(model, on: backend, pool: backend.pool, options: options)
  }
}

import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelModels
import AngelPTM

/// `angel models merge`: adds an adapter to the weights of the model it was trained beside.
enum MergeModel {
  static func run(
    _ model: ModelStore.ResolvedModel, _ adapter: String, _ target: String, _ arguments: Arguments,
    _ context: CommandContext
  ) throws {
    guard arguments[ModelsCommand.force] || FilePath.kind(target) == nil else {
      throw UsageError("'\(target)' exists: --force writes over it", command: ModelsCommand.name)
    }
    let type: DType =
      switch arguments[ConvertModel.type] {
      case .f32?, nil: .float32
      case .f16?: .float16
      case .bf16?: .bfloat16
      default:
        throw UsageError("merge writes f32, f16 or bf16; convert its result for others", command: ModelsCommand.name)
      }
    let merging = try AdapterMerging(Checkpoint.open(model.path), adapter: adapter)
    let layers = try context.interruption.deferred {
      try merging.write(to: target, as: type, on: CPUBackend(threadCount: context.threads))
    }
    if context.printsJSON {
      return try context.print([
        "merged": .string(model.name), "adapter": .string(adapter), "path": .string(target), "layers": .integer(layers),
      ])
    }
    try context.output.line("\(model.name) with \(adapter) is at \(target): \(layers) layers changed")
  }
}

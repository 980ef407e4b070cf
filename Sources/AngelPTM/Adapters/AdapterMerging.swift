public import AngelCheckpoint
public import AngelCore
import AngelModels
import AngelNN
public import AngelTensor

/// A model and an adapter that are to become one model.
public struct AdapterMerging {
  private let checkpoint: Checkpoint
  private let adapter: PEFTFolder

  /// - Parameter adapter: a PEFT folder.
  public init(_ checkpoint: Checkpoint, adapter: String) throws {
    self.checkpoint = checkpoint
    self.adapter = try PEFTFolder(path: adapter)
  }

  /// Writes the merged model as a folder of safetensors; sums are taken in float32 and rounded once.
  ///
  /// - Returns: how many layers the adapter changed.
  public func write(to target: String, as dtype: DType, on backend: any Backend) throws -> Int {
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    return try merge(model, target, dtype, on: backend)
  }

  private func merge<Model: LanguageModel>(
    _ model: Model, _ target: String, _ dtype: DType, on backend: any Backend
  ) throws -> Int {
    var model = model
    let layers = try adapter.attach(to: &model, for: .training, on: backend)
    Adapters.merge(into: &model)
    try ModelFolder(.checkpoint(checkpoint), dtype: dtype, chatTemplate: adapter.chatTemplate).write(model, to: target)
    return layers
  }
}

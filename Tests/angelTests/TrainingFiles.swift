import AngelCore
import AngelPTM
import AngelTesting

/// A small recipe and its text in a folder, for runs of a few seconds.
struct TrainingFiles {
  let folder: TemporaryFolder
  let recipe: String

  init(_ folder: TemporaryFolder) throws {
    self.folder = folder
    let text = (0..<40).map { "line \($0): to be or not to be, that is question number \($0 * 7 % 13)\n" }.joined()
    let data = try folder.write(text.utf8, to: "data.txt")
    recipe = try folder.write(
      """
      stage: pretrain
      tokenizer: byte
      precision: f32
      architecture: {family: llama, layers: 2, width: 32, heads: 2, inner: 64}
      data: {train: [\(data)], validation_ratio: 0.1}
      sequence_length: 32
      batch_size: 4
      training: {steps: 40}
      output: {folder: \(folder("run")), validate_every: 10, save_every: 2, keep: 3}
      """.utf8, to: "recipe.yaml")
  }

  var checkpoints: String { folder("run/checkpoints") }

  /// Steps whose metrics are written.
  func recordedSteps() throws -> Int {
    try MetricsFile.lines(folder("run/metrics.jsonl")).filter { $0["loss"] != nil }.count
  }

  /// The losses of a run's steps, in their order.
  func losses(_ run: String = "run") throws -> [Double] {
    try MetricsFile.lines(folder(run + "/metrics.jsonl")).compactMap { $0["loss"]?.double }
  }

  func weights(_ run: String = "run") throws -> [UInt8] {
    try TemporaryFolder.read(folder(run + "/model/model.safetensors"))
  }
}

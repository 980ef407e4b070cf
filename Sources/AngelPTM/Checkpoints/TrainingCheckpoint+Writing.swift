import AngelCheckpoint
import AngelCore
import AngelNN
import AngelTensor

extension TrainingCheckpoint {
  /// Writes the run as it stands to `folder`, makes it the latest and removes all but the newest `keep`.
  ///
  /// What stood there stays as it was when anything fails: a full disk costs the new checkpoint only.
  @discardableResult
  public static func write(_ trainer: Trainer, recipeDigest: String, to folder: String, keep: Int) throws -> String {
    try FileOperations.makeFolder(folder)
    let name = "step-" + String(repeating: "0", count: max(0, 8 - "\(trainer.step)".count)) + "\(trainer.step)"
    let path = FilePath.join(folder, name)
    // A run is a function of its step: the latest checkpoint is not written twice, nor ever out of reach.
    if let latest = try latest(in: folder), latest.step == trainer.step, latest.recipeDigest == recipeDigest {
      return path
    }
    try writeFolder(trainer, recipeDigest: recipeDigest, to: path)
    try TrainingCheckpoint(path: path).verify()
    let link = try AtomicFile(path: FilePath.join(folder, latestName))
    try link.write((name + "\n").utf8)
    try link.commit()
    try removeOld(in: folder, step: trainer.step, keep: keep)
    return path
  }

  private static func writeFolder(_ trainer: Trainer, recipeDigest: String, to path: String) throws {
    let stored = trainer.storedValues
    let writer = try ModelFolderWriter(path: path)
    var digests = JSONObject()
    let sources = stored.map { TensorSource(name: $0.key, dtype: $0.value.dtype, shape: $0.value.shape, pieces: []) }
    try writer.writeTensors(sources.sorted { $0.name < $1.name }, shardBytes: 4 << 30) { source, write in
      // One at a time: those kept in halves are joined for it.
      guard let values = stored[source.name]?.values() else { return }
      try values.withHostBytes {
        digests[source.name] = .string(digest($0))
        try write($0)
      }
    }
    try writer.write(
      [
        "version": .integer(version), "step": .integer(trainer.step), "skipped_steps": .integer(trainer.skippedSteps),
        "recipe": .string(recipeDigest), "tensors": .object(digests),
      ], as: "state.json")
    try writer.finish()
  }

  /// Keeps the newest up to `step`; later ones are of a course that a resumed run has left.
  private static func removeOld(in folder: String, step: Int, keep: Int) throws {
    var steps = try FilePath.names(in: folder).compactMap { name in Self.step(of: name).map { (step: $0, name: name) } }
    steps.sort { $0.step < $1.step }
    let kept = Set(steps.filter { $0.step <= step }.suffix(keep).map(\.name))
    for entry in steps where !kept.contains(entry.name) {
      try FileOperations.remove(FilePath.join(folder, entry.name))
    }
  }
}

extension Trainer {
  /// A tensor of a checkpoint.
  struct StoredValue {
    let shape: Shape
    let dtype: DType
    let values: () -> Tensor?
  }

  /// What a checkpoint holds, by name: parameters in float32, states as they are kept.
  var storedValues: [String: StoredValue] {
    var stored: [String: StoredValue] = [:]
    for (path, parameter) in parameters {
      stored["parameters/" + path] = StoredValue(shape: parameter.shape, dtype: .float32) {
        parameter.trainedValues?.values
      }
    }
    for (name, state) in states {
      stored[name] = StoredValue(shape: state.tensor.shape, dtype: state.tensor.dtype) { state.tensor }
    }
    return stored
  }

  /// Everything beside the parameters that a step changes.
  var states: [String: OptimizerState] {
    var states: [String: OptimizerState] = [:]
    for (name, state) in optimizer.states { states["optimizer/" + name] = state }
    for (path, state) in average?.states ?? [:] { states["average/" + path] = state }
    return states
  }
}

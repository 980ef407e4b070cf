import AngelCheckpoint
import AngelCore
import AngelNN
import AngelTensor

extension TrainingCheckpoint {
  /// Writes the run as it stands to `folder`, makes it the latest and removes all but the newest `keep`.
  ///
  /// What stood there stays as it was when anything fails: a full disk costs the new checkpoint only. Of several processes all
  /// call it and the first writes; the path is nil on the others.
  @discardableResult
  public static func write(_ trainer: Trainer, recipeDigest: String, to folder: String, keep: Int) throws -> String? {
    let stored = trainer.storedValues
    return try trainer.layout.lead(stored) {
      try write(trainer, stored, recipeDigest: recipeDigest, to: folder, keep: keep)
    }
  }

  private static func write(
    _ trainer: Trainer, _ stored: [StoredValue], recipeDigest: String, to folder: String, keep: Int
  ) throws -> String {
    try FileOperations.makeFolder(folder)
    let name = "step-" + String(repeating: "0", count: max(0, 8 - "\(trainer.step)".count)) + "\(trainer.step)"
    let path = FilePath.join(folder, name)
    // A run is a function of its step: the latest checkpoint is not written twice, nor ever out of reach.
    if let latest = try latest(in: folder), latest.step == trainer.step, latest.recipeDigest == recipeDigest {
      return path
    }
    try writeFolder(trainer, stored, recipeDigest: recipeDigest, to: path)
    try TrainingCheckpoint(path: path).verify()
    let link = try AtomicFile(path: FilePath.join(folder, latestName))
    try link.write((name + "\n").utf8)
    try link.commit()
    try removeOld(in: folder, step: trainer.step, keep: keep)
    return path
  }

  private static func writeFolder(
    _ trainer: Trainer, _ stored: [StoredValue], recipeDigest: String, to path: String
  ) throws {
    let writer = try ModelFolderWriter(path: path)
    var digests = JSONObject()
    let byName = Dictionary(uniqueKeysWithValues: stored.map { ($0.name, $0) })
    let sources = stored.map {
      TensorSource(name: $0.name, dtype: $0.dtype, shape: trainer.layout.shape(of: $0), pieces: [])
    }
    try writer.writeTensors(sources.sorted { $0.name < $1.name }, shardBytes: 4 << 30) { source, write in
      // One at a time: those kept in halves are joined for it, those kept in shares gathered.
      guard let value = byName[source.name] else { return }
      try trainer.layout.whole(value).withHostBytes {
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

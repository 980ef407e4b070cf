import AngelCheckpoint
import AngelCore
import AngelNN

extension LanguageModel {
  /// Why layers cannot be shared out over `count` processes; nil where they can.
  public func obstacle(toSharingOver count: Int) -> String? {
    let plan = Self.parallelPlan
    guard !plan.gathering.isEmpty else { return "layers of this family cannot be shared out yet" }
    let heads = configuration.cacheGeometry.keyValueHeadCount
    guard heads % count == 0 else { return "\(count) does not divide the model's \(heads) key-value heads" }
    return indivisible(by: count, plan).first.map {
      "\(count) does not divide the \($0.shape[$0.axis]) \($0.axis == 0 ? "outputs" : "inputs") of \($0.path)"
    }
  }

  func checkSharing(
    among peers: any LayerPeers, _ checkpoint: Checkpoint, adapter: PEFTFolder?
  ) throws(ModelError) {
    if let adapter {
      throw .adapter(
        path: adapter.path, reason: "it cannot be shared out over processes; merge it, or start one process")
    }
    if let obstacle = obstacle(toSharingOver: peers.count) { throw .notShared(path: checkpoint.path, reason: obstacle) }
  }
}

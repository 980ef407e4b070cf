import AngelCheckpoint
import AngelCore

extension ConfigurationFields {
  /// Which of `count` layers attend within a window: `layer_types` where the file has it, else what `isSliding` says.
  func slidingLayers(count: Int, otherwise isSliding: (Int) -> Bool) throws(CheckpointError) -> [Bool] {
    guard let value = self["layer_types"] else { return (0..<count).map(isSliding) }
    let kinds = value.array?.compactMap(\.string) ?? []
    guard kinds.count == count, kinds.allSatisfy({ $0 == "sliding_attention" || $0 == "full_attention" }) else {
      throw wrong("layer_types", value, "\(count) times sliding_attention or full_attention")
    }
    return kinds.map { $0 == "sliding_attention" }
  }
}

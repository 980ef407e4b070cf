import AngelCore

/// `model.safetensors.index.json`: which file holds which tensor.
struct ShardIndex {
  /// The files' names, sorted.
  let files: [String]
  private let namesByFile: [String: Set<String>]

  /// Reads the parsed document; `path` is for messages.
  init(_ object: JSONObject, path: String) throws(CheckpointError) {
    func damaged(_ reason: String) -> CheckpointError {
      .damaged(path: path, format: "shard index", reason: reason)
    }
    guard let map = object["weight_map"]?.object else { throw damaged("it has no weight_map") }
    var names: [String: Set<String>] = [:]
    for member in map.members {
      guard let file = member.value.string else {
        throw damaged("tensor \(quoted(member.key)) has \(member.value.kind) for a file name")
      }
      // A name with a slash could lead out of the folder.
      guard !file.contains("/"), !file.utf8.contains(0), file.hasSuffix(".safetensors") else {
        throw damaged(
          "tensor \(quoted(member.key)) is said to be in \(quoted(file)), not a safetensors file in this folder")
      }
      names[file, default: []].insert(member.key)
    }
    namesByFile = names
    files = names.keys.sorted()
  }

  /// The tensors that `file` is said to hold.
  func names(in file: String) -> Set<String> { namesByFile[file] ?? [] }
}

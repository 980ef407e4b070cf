import AngelCore

extension Checkpoint {
  /// The metadata of GGUF files that have 2:4 matrices: what pattern they keep to, and which tensors do.
  static let patternKey = "angel.sparsity.pattern", patternTensorsKey = "angel.sparsity.tensors"

  /// The matrices of which the file says that at least two of every four consecutive inputs of an output are zero. Whoever reads
  /// them checks it.
  public var twoOfFourTensors: Set<String> {
    guard configuration[Self.patternKey]?.string == "2:4",
      let names = configuration[Self.patternTensorsKey]?.array
    else { return [] }
    return Set(names.compactMap(\.string)).intersection(tensorNames)
  }

  /// The same that have a form in memory for it.
  public var heldTwoOfFour: [TensorRecord] {
    let names = twoOfFourTensors
    return tensorNames.compactMap { name in
      tensors[name].flatMap { record in
        guard names.contains(name), record.shape.rank == 2, let form = record.dtype.twoOfFour,
          record.shape[1] % form.blockElements == 0
        else { return nil }
        return record
      }
    }
  }
}

import AngelCore

/// Finds the quantised matrices among the tensors of a folder, and checks that all parts of each are there and fit.
struct QuantizedFolder {
  let table: TensorTable
  /// For messages.
  let path: String
  let method: QuantizationMethod
  /// What has become part of a matrix, or serves the rounding of activations, which is not done here.
  private(set) var consumed: Set<String> = []
  private(set) var matrices: [QuantizedMatrix] = []

  init(_ table: TensorTable, _ method: QuantizationMethod, path: String) throws(CheckpointError) {
    self.table = table
    self.method = method
    self.path = path
    for name in table.allNames {
      switch method {
      case .gptq(let bits, let groupSize, let zerosAreLessOne, let needsOrder):
        guard let module = Self.module(name, "qweight") else { continue }
        try addGPTQ(module, bits, groupSize, zerosAreLessOne: zerosAreLessOne, needsOrder: needsOrder)
      case .awq(let groupSize, let hasZeros):
        guard let module = Self.module(name, "qweight") else { continue }
        try addAWQ(module, groupSize, hasZeros: hasZeros)
      case .compressedTensors(let bits):
        if let module = Self.module(name, "weight_packed") {
          try addPacked(module, bits)
        } else if let module = Self.module(name, "weight"), table.contains(module + ".weight_scale") {
          try addNaive(module)
        }
      }
    }
    try requireNothingLeft()
    unifyExperts()
  }

  /// The module whose part `name` is, if it is the part called `part`.
  static func module(_ name: String, _ part: String) -> String? {
    name.hasSuffix("." + part) ? String(name.dropLast(part.utf8.count + 1)) : nil
  }

  mutating func add(_ matrix: QuantizedMatrix, from parts: [StoredBytes]) throws(CheckpointError) {
    guard !table.contains(matrix.name) || parts.contains(where: { $0.name == matrix.name }) else {
      throw damaged("it has \(quoted(matrix.name)) and the parts of it quantised")
    }
    matrices.append(matrix)
    consumed.formUnion(parts.map(\.name))
  }

  /// Tensors that hold no weight: how activations are rounded and caches scaled, which is not done here.
  mutating func drop(_ name: String) { if table.contains(name) { consumed.insert(name) } }

  /// Parts whose matrix is not there would be left out without a word.
  private func requireNothingLeft() throws(CheckpointError) {
    let parts = ["qzeros", "scales", "g_idx", "weight_shape", "weight_zero_point", "weight_g_idx", "weight_scale"]
    for name in table.allNames where !consumed.contains(name) {
      guard let part = parts.first(where: { name.hasSuffix("." + $0) }) else { continue }
      let needed = part.hasPrefix("weight") ? "weight_packed or a weight of 8 bits" : "qweight"
      throw damaged("tensor \(quoted(name)) has no \(needed) beside it")
    }
  }

  /// The experts of a layer are multiplied together, so all are held in the form that has the values of each.
  private mutating func unifyExperts() {
    func family(_ name: String) -> String? {
      var parts = name.split(separator: ".", omittingEmptySubsequences: false)
      let numbers = parts.indices.filter { Int(parts[$0]) != nil }
      guard numbers.count >= 2, let last = numbers.last else { return nil }
      parts[last] = "*"
      return parts.joined(separator: ".")
    }
    var widest: [String: QuantizedMatrix] = [:]
    for matrix in matrices {
      guard let family = family(matrix.name) else { continue }
      if matrix.formRank >= widest[family]?.formRank ?? 0 { widest[family] = matrix }
    }
    for index in matrices.indices {
      guard let other = family(matrices[index].name).flatMap({ widest[$0] }), other.form != matrices[index].form else {
        continue
      }
      matrices[index] = QuantizedMatrix(matrices[index], heldIn: other.form)
    }
  }

  /// What was found, for tables.
  var summary: QuantizedWeights {
    var forms: [QuantizedMatrix.Form: (tensors: Int, bytes: Int)] = [:]
    for matrix in matrices {
      let sums = forms[matrix.form] ?? (0, 0)
      forms[matrix.form] = (sums.tensors + 1, sums.bytes + matrix.byteCount)
    }
    return QuantizedWeights(
      method: method.name,
      forms: forms.map {
        .init(
          type: $0.key.dtype.name, reason: $0.key.reason?.rawValue, tensors: $0.value.tensors, bytes: $0.value.bytes)
      }.sorted { ($1.bytes, $0.type) < ($0.bytes, $1.type) })
  }

  // MARK: Parts

  func damaged(_ reason: String) -> CheckpointError {
    .damaged(path: path, format: method.name, reason: reason)
  }

  /// A part of a module, nil where it has none.
  func part(_ module: String, _ part: String) -> StoredBytes? { table.stored(module + "." + part) }

  /// A part that must be there, of one of the types given and of `rank` axes, with as many bytes as these make.
  func part(
    _ module: String, _ name: String, _ typeNames: [String], rank: ClosedRange<Int> = 2...2
  ) throws(CheckpointError) -> StoredBytes {
    guard let tensor = part(module, name) else { throw damaged("tensor \(quoted(module + "." + name)) is missing") }
    guard typeNames.contains(tensor.typeName), rank.contains(tensor.shape.rank) else {
      let axes = rank.lowerBound == rank.upperBound ? "\(rank.lowerBound)" : "\(rank.lowerBound) to \(rank.upperBound)"
      throw damaged(
        "tensor \(quoted(tensor.name)) is \(tensor.typeName) \(tensor.shape), expected "
          + typeNames.joined(separator: " or ") + " with \(axes) axes")
    }
    let size = Self.elementBytes[tensor.typeName] ?? 1
    let (bytes, overflow) = tensor.shape.elementCount.multipliedReportingOverflow(by: size)
    guard !overflow, bytes == tensor.range.count, !tensor.range.isEmpty else {
      throw damaged("tensor \(quoted(tensor.name)) of shape \(tensor.shape) has \(tensor.range.count) bytes")
    }
    return tensor
  }

  private static let elementBytes = ["F16": 2, "BF16": 2, "F32": 4, "I32": 4, "I64": 8, "I8": 1, "U8": 1, "F8_E4M3": 1]

  func requireShape(_ tensor: StoredBytes, _ sizes: [Int]) throws(CheckpointError) {
    guard tensor.shape.array == sizes else {
      throw damaged("tensor \(quoted(tensor.name)) has shape \(tensor.shape), expected \(Shape(sizes))")
    }
  }

  /// `count` words of 32 bits in codes of `bits`.
  func codeCount(words count: Int, bits: Int, of tensor: StoredBytes) throws(CheckpointError) -> Int {
    let (total, overflow) = count.multipliedReportingOverflow(by: 32)
    guard !overflow, total % bits == 0 else {
      throw damaged("tensor \(quoted(tensor.name)) of shape \(tensor.shape) is no whole number of \(bits)-bit codes")
    }
    return total / bits
  }

  /// How many groups of `size` inputs there are; `size` nil: one.
  static func groupCount(_ inputs: Int, _ size: Int?) -> Int { size.map { ($0 - 1 + inputs) / $0 } ?? 1 }
}

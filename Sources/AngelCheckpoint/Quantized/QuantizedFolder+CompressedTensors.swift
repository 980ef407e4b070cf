import AngelCore

extension QuantizedFolder {
  /// weight_packed [outputs, inputs · bits / 32], weight_scale [outputs, groups], weight_shape, and where they are
  /// there weight_zero_point [outputs · bits / 32, groups] and weight_g_idx [inputs].
  mutating func addPacked(_ module: String, _ allowedBits: Set<Int>) throws(CheckpointError) {
    let words = try part(module, "weight_packed", ["I32"])
    let shapeTensor = try part(module, "weight_shape", ["I64", "I32"], rank: 1...1)
    let (outputs, inputs) = try shape(shapeTensor)
    let scalesTensor = try part(module, "weight_scale", GroupScales.typeNames)
    guard let bits = [2, 3, 4, 8].first(where: { words.shape.array == [outputs, Self.words($0, inputs)] }) else {
      throw damaged(
        "tensor \(quoted(words.name)) has shape \(words.shape), which for the \(outputs) x \(inputs) values of "
          + "\(quoted(shapeTensor.name)) are not 2, 3, 4 or 8 bits each")
    }
    guard allowedBits.contains(bits) else {
      throw damaged("tensor \(quoted(words.name)) has \(bits) bits, of which 'config_groups' does not speak")
    }
    let groupCount = scalesTensor.shape[1]
    try requireShape(scalesTensor, [outputs, groupCount])
    let order = try part(module, "weight_g_idx") == nil ? nil : part(module, "weight_g_idx", ["I32"], rank: 1...1)
    if let order { try requireShape(order, [inputs]) }
    let zerosTensor = try zeroPoints(module)
    let zeros = try zeros(zerosTensor, bits: bits, outputs: outputs, groups: groupCount)
    let parts = [words, shapeTensor, scalesTensor] + [order, zerosTensor].compactMap { $0 }
    let codes = PackedCodes(tensor: words, layout: .wordsOfRows, bits: bits, outputs: outputs, inputs: inputs)
    // The package writes -1 for inputs in order.
    let groups: InputGroups =
      if let order, !InputGroups.list(order, has: -1) { .listed(order) } else {
        try evenGroups(inputs, groupCount, scalesTensor)
      }
    try add(
      QuantizedMatrix(
        module + ".weight", shape: [outputs, inputs], values: .codes(codes, zeros),
        scales: scales(scalesTensor, outputStride: groupCount, groupStride: 1), groups: groups, groupCount: groupCount,
        stored: parts, damaged),
      from: parts)
    dropActivations(of: module)
  }

  /// weight [outputs, inputs] in int8 or float8 (E4M3), weight_scale of all, of each output, of each group, or of each
  /// block of outputs and inputs.
  mutating func addNaive(_ module: String) throws(CheckpointError) {
    let weight = try part(module, "weight", ["I8", "F8_E4M3"])
    let (outputs, inputs) = (weight.shape[0], weight.shape[1])
    let scalesTensor = try part(module, "weight_scale", GroupScales.typeNames, rank: 0...2)
    let sizes = scalesTensor.shape.array
    let (rows, columns) = (sizes.first ?? 1, sizes.count == 2 ? sizes[1] : 1)
    guard rows > 0, columns > 0, rows <= outputs, columns <= inputs, outputs % rows == 0 else {
      throw damaged(
        "tensor \(quoted(scalesTensor.name)) has shape \(scalesTensor.shape), which does not go with the "
          + "\(outputs) x \(inputs) values of \(quoted(weight.name)): blocks must be whole")
    }
    let zerosTensor = try zeroPoints(module)
    let values: QuantizedMatrix.Values
    if weight.typeName == "F8_E4M3" {
      values = .float8(weight)
    } else {
      let codes = PackedCodes(tensor: weight, layout: .signedBytes, bits: 8, outputs: outputs, inputs: inputs)
      values = .codes(codes, try zeros(zerosTensor, bits: 8, outputs: outputs, groups: columns))
    }
    let scales = try scales(
      scalesTensor, outputStride: columns, groupStride: 1, outputsPerScale: outputs / rows)
    let parts = [weight, scalesTensor] + (zerosTensor.map { [$0] } ?? [])
    try add(
      QuantizedMatrix(
        module + ".weight", shape: weight.shape, values: values, scales: scales,
        groups: evenGroups(inputs, columns, scalesTensor), groupCount: columns,
        stored: parts, damaged),
      from: parts)
    dropActivations(of: module)
  }

  private mutating func dropActivations(of module: String) {
    for part in ["input_scale", "input_zero_point", "output_scale", "output_zero_point", "input_global_scale"] {
      drop(module + "." + part)
    }
  }

  private static func words(_ bits: Int, _ inputs: Int) -> Int { (inputs * bits + 31) / 32 }

  private func shape(_ tensor: StoredBytes) throws(CheckpointError) -> (outputs: Int, inputs: Int) {
    try requireShape(tensor, [2])
    let sizes = tensor.withBytes { bytes in
      (0..<2).map { index in
        tensor.typeName == "I64"
          ? Int(Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self)))
          : Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * index, as: Int32.self)))
      }
    }
    // Far beyond any layer, and small enough for sums of bits.
    guard sizes.allSatisfy({ (1...1 << 40).contains($0) }) else {
      throw damaged("tensor \(quoted(tensor.name)) says \(sizes[0]) x \(sizes[1]) values")
    }
    return (sizes[0], sizes[1])
  }

  private func zeroPoints(_ module: String) throws(CheckpointError) -> StoredBytes? {
    guard part(module, "weight_zero_point") != nil else { return nil }
    return try part(module, "weight_zero_point", ["I32", "I8"], rank: 0...2)
  }

  /// Packed where they are words, as newer versions write them; symmetric weights have none.
  private func zeros(
    _ tensor: StoredBytes?, bits: Int, outputs: Int, groups: Int
  ) throws(CheckpointError) -> GroupZeros {
    guard let tensor else { return .middle(bits: bits) }
    if tensor.typeName == "I32" {
      try requireShape(tensor, [Self.words(bits, outputs), groups])
      return GroupZeros(.wordsOfGroups, tensor, bits: bits, outputs: outputs, groups: groups)
    }
    try requireShape(tensor, [outputs, groups])
    return GroupZeros(.signedBytes, tensor, bits: bits, outputs: outputs, groups: groups)
  }

  /// Groups of equal sizes. How large others are could only be guessed.
  private func evenGroups(
    _ inputs: Int, _ count: Int, _ scales: StoredBytes
  ) throws(CheckpointError) -> InputGroups {
    guard (1...inputs).contains(count), inputs % count == 0 else {
      throw damaged("tensor \(quoted(scales.name)) has \(count) groups for \(inputs) inputs, which cannot be equal")
    }
    return .even(size: inputs / count)
  }
}

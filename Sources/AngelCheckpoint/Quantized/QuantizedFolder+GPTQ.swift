import AngelCore

extension QuantizedFolder {
  /// qweight [inputs · bits / 32, outputs], qzeros [groups, outputs · bits / 32], scales [groups, outputs], and maybe
  /// g_idx [inputs].
  mutating func addGPTQ(
    _ module: String, _ usualBits: Int, _ groupSize: Int?, zerosAreLessOne: Bool, needsOrder: Bool
  ) throws(CheckpointError) {
    let words = try part(module, "qweight", ["I32"])
    let scalesTensor = try part(module, "scales", GroupScales.typeNames)
    let zerosTensor = try part(module, "qzeros", ["I32"])
    let order = try part(module, "g_idx") == nil ? nil : part(module, "g_idx", ["I32"], rank: 1...1)
    let outputs = words.shape[1]
    // GPTQModel may give single layers other bits; the list of groups has an entry an input.
    let bits = order.flatMap { Self.bits(words: words.shape[0], inputs: $0.shape[0]) } ?? usualBits
    let inputs = try codeCount(words: words.shape[0], bits: bits, of: words)
    if bits == 3, zerosAreLessOne {
      throw .unsupported(
        path: path,
        reason:
          "tensor \(quoted(words.name)) has 3 bits in the first GPTQ format, whose zeros programs write in different "
          + "ways; save the model as gptq_v2 with GPTQModel")
    }
    if let order { try requireShape(order, [inputs]) }
    // Some programs write a list of zeros where inputs are in order.
    let isEmpty = order.map { scalesTensor.shape[0] > 1 && InputGroups.list($0, hasOnly: 0) } ?? false
    let groups: InputGroups
    if let order, !isEmpty {
      groups = .listed(order)
    } else {
      guard !needsOrder || groupSize == nil else {
        throw damaged(
          "tensor \(quoted(module + ".g_idx")) \(isEmpty ? "lists zeros alone" : "is missing"), though 'desc_act' is true"
        )
      }
      groups = .even(size: groupSize ?? inputs)
      try requireShape(scalesTensor, [Self.groupCount(inputs, groupSize), outputs])
    }
    let groupCount = scalesTensor.shape[0]
    try requireShape(scalesTensor, [groupCount, outputs])
    guard outputs * bits % 32 == 0, inputs % 8 == 0 else {
      throw damaged(
        "\(quoted(module)) has \(outputs) outputs and \(inputs) inputs: its \(bits)-bit zeros fill no whole words")
    }
    try requireShape(zerosTensor, [groupCount, outputs * bits / 32])
    let scales = try scales(scalesTensor, outputStride: 1, groupStride: outputs)
    let codes = PackedCodes(tensor: words, layout: .wordsOfInputs, bits: bits, outputs: outputs, inputs: inputs)
    let zeros = GroupZeros(
      .wordsOfOutputs, zerosTensor, bits: bits, outputs: outputs, groups: groupCount, areLessOne: zerosAreLessOne)
    let parts = [words, scalesTensor, zerosTensor] + (order.map { [$0] } ?? [])
    try add(
      QuantizedMatrix(
        module + ".weight", shape: [outputs, inputs], values: .codes(codes, zeros), scales: scales, groups: groups,
        groupCount: groupCount, stored: parts, damaged),
      from: parts)
  }

  /// The bits that make `words` of `inputs`; nil where none do.
  private static func bits(words: Int, inputs: Int) -> Int? {
    let (bits, overflow) = words.multipliedReportingOverflow(by: 32)
    return overflow ? nil : [2, 3, 4, 8].first { inputs > 0 && bits % inputs == 0 && bits / inputs == $0 }
  }

  func scales(
    _ tensor: StoredBytes, outputStride: Int, groupStride: Int, outputsPerScale: Int = 1
  ) throws(CheckpointError) -> GroupScales {
    guard
      let scales = GroupScales(
        tensor, outputStride: outputStride, groupStride: groupStride, outputsPerScale: outputsPerScale)
    else { throw damaged("tensor \(quoted(tensor.name)) is \(tensor.typeName), which scales never are") }
    return scales
  }
}

import AngelCore

extension QuantizedFolder {
  /// qweight [inputs, outputs / 8], qzeros [groups, outputs / 8], scales [groups, outputs].
  mutating func addAWQ(_ module: String, _ groupSize: Int?, hasZeros: Bool) throws(CheckpointError) {
    let words = try part(module, "qweight", ["I32"])
    let scalesTensor = try part(module, "scales", GroupScales.typeNames)
    let zerosTensor = try part(module, "qzeros") == nil && !hasZeros ? nil : part(module, "qzeros", ["I32"])
    let inputs = words.shape[0]
    let (outputs, overflow) = words.shape[1].multipliedReportingOverflow(by: 8)
    guard !overflow, inputs % 8 == 0 else {
      throw damaged("tensor \(quoted(words.name)) has \(inputs) inputs, no multiple of 8")
    }
    let groupCount = Self.groupCount(inputs, groupSize)
    try requireShape(scalesTensor, [groupCount, outputs])
    if let zerosTensor { try requireShape(zerosTensor, [groupCount, words.shape[1]]) }
    let zeros =
      zerosTensor.map { GroupZeros(.interleavedOutputs, $0, bits: 4, outputs: outputs, groups: groupCount) }
      ?? .middle(bits: 4)
    let codes = PackedCodes(tensor: words, layout: .interleavedOutputs, bits: 4, outputs: outputs, inputs: inputs)
    let parts = [words, scalesTensor] + (zerosTensor.map { [$0] } ?? [])
    try add(
      QuantizedMatrix(
        module + ".weight", shape: [outputs, inputs], values: .codes(codes, zeros),
        scales: scales(scalesTensor, outputStride: 1, groupStride: outputs),
        groups: .even(size: groupSize ?? inputs), groupCount: groupCount,
        stored: parts, damaged),
      from: parts)
  }
}

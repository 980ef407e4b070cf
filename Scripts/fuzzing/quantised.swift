import AngelCore

/// A safetensors file as a quantised folder holds it: the first byte says by which program, the rest is the file.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard count > 1, let bytes else { return 0 }
  guard let path = FuzzedFile.write(bytes + 1, count - 1), let file = try? SafetensorsFile(path: path) else { return 0 }
  let method = methods[Int(bytes[0]) % methods.count]
  var table = TensorTable()
  guard (try? table.add(file)) != nil else { return 0 }
  guard let folder = try? QuantizedFolder(table, method, path: "fuzz") else { return 0 }
  table.replace(with: folder)
  for matrix in folder.matrices {
    // What a matrix takes is bounded by what its file has: a byte of scales or codes makes at most 16 bytes of values.
    precondition(matrix.byteCount <= 32 * count)
    let rows = max(0, matrix.outputs - 3)..<matrix.outputs
    for part in [0..<matrix.outputs, rows] {
      let size = try? matrix.withRows(part) { $0.count }
      precondition(size == part.count * matrix.form.dtype.byteCount(of: matrix.inputs))
    }
  }
  return 0
}

private let methods: [QuantizationMethod] = [
  .gptq(bits: 4, groupSize: 32, zerosAreLessOne: true, needsOrder: false),
  .gptq(bits: 8, groupSize: nil, zerosAreLessOne: false, needsOrder: false),
  .gptq(bits: 2, groupSize: 64, zerosAreLessOne: true, needsOrder: true),
  .gptq(bits: 3, groupSize: 32, zerosAreLessOne: false, needsOrder: false), .awq(groupSize: 32, hasZeros: true),
  .awq(groupSize: nil, hasZeros: false), .compressedTensors(bits: [4]), .compressedTensors(bits: [2, 3, 8]),
]

import AngelCore

/// A GGUF header, its metadata as JSON, and every tensor's place.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let buffer = UnsafeRawBufferPointer(start: bytes, count: count)
  guard let header = try? GGUFHeader(parsing: buffer, path: "fuzz.gguf") else { return 0 }
  for entry in header.metadata { _ = entry.value.json() }
  for tensor in header.tensors where tensor.type.dtype != nil {
    // What a reader relies on: inside the file, and as many bytes as the shape and the type make.
    precondition(tensor.byteRange.lowerBound >= header.dataOffset || tensor.byteRange.isEmpty)
    precondition(tensor.byteRange.upperBound <= count || tensor.byteRange.isEmpty)
    precondition(tensor.type.dtype?.byteCount(of: tensor.shape.elementCount) == tensor.byteRange.count)
  }
  return 0
}

import AngelCore

/// A safetensors header, and every tensor's place.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let buffer = UnsafeRawBufferPointer(start: bytes, count: count)
  guard let header = try? SafetensorsHeader(parsing: buffer, path: "fuzz.safetensors") else { return 0 }
  for tensor in header.tensors {
    precondition(tensor.byteRange.lowerBound >= 8 && tensor.byteRange.upperBound <= count)
    guard let dtype = tensor.dtype else { continue }
    precondition(dtype.byteCount(of: tensor.shape.elementCount) == tensor.byteRange.count)
  }
  return 0
}

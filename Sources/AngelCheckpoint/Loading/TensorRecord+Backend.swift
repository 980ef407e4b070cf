import AngelTensor

extension TensorRecord {
  /// Calls `body` with the tensor's bytes for `backend`, whose threads help where they have to be made.
  ///
  /// A backend without arithmetic touches none of them, so none are made for it.
  func withBytes<Result>(
    on backend: any Backend, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    guard case .quantized = content else { return try withBytes(body) }
    guard backend.device != .shapes else {
      let nowhere = Allocation.nowhere(byteCount: byteRange.count, kind: .weights)
      return try body(UnsafeRawBufferPointer(start: nowhere.address, count: byteRange.count))
    }
    return try withBytes(performing: { backend.perform($0, $1) }) { bytes in
      let result = try body(bytes)
      // What was launched on the bytes must be done with them before they go.
      try backend.synchronize()
      return result
    }
  }
}

import AngelCore

/// Which inputs share scales.
enum InputGroups: Sendable {
  /// Each `size` inputs, the last group maybe fewer.
  case even(size: Int)
  /// As a tensor of int32 lists them, one group an input; all are checked.
  case listed(StoredBytes)

  /// The group of an input.
  @inline(__always)
  func group(of input: Int) -> Int {
    switch self {
    case .even(let size): input / size
    case .listed(let tensor): Self.entry(tensor.bytes, input)
    }
  }

  /// Whether each `size` inputs, from the first on, are of one group.
  func areWhole(blocks size: Int, of inputs: Int) -> Bool {
    guard inputs % size == 0 else { return false }
    switch self {
    case .even(let own): return own >= inputs || own % size == 0
    case .listed(let tensor):
      return tensor.withBytes { bytes in
        (0..<inputs).allSatisfy { Self.entry(bytes, $0) == Self.entry(bytes, $0 / size * size) }
      }
    }
  }

  /// The first input whose group is none of `count`, and that group.
  func wrong(inputs: Int, count: Int) -> (input: Int, group: Int)? {
    guard case .listed(let tensor) = self else { return nil }
    return tensor.withBytes { bytes in
      for input in 0..<inputs {
        let group = Self.entry(bytes, input)
        guard (0..<count).contains(group) else { return (input, group) }
      }
      return nil
    }
  }

  /// Whether a list has `group` for all inputs, or for any.
  static func list(_ tensor: StoredBytes, hasOnly group: Int) -> Bool {
    tensor.withBytes { bytes in (0..<tensor.shape[0]).allSatisfy { entry(bytes, $0) == group } }
  }
  static func list(_ tensor: StoredBytes, has group: Int) -> Bool {
    tensor.withBytes { bytes in (0..<tensor.shape[0]).contains { entry(bytes, $0) == group } }
  }

  @inline(__always)
  private static func entry(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> Int {
    Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 &* index, as: Int32.self)))
  }
}

package import AngelCore
import CAngelKernels

extension PackedMatrix {
  /// Whether rows, as a file stores them, can be held as 2:4: their type has such a form, and of every four consecutive elements
  /// two at least are zero (two_of_four.h). Every element is looked at; a backend without arithmetic takes the type's word.
  package static func areTwoOfFour(
    _ rows: UnsafeRawBufferPointer, dtype: DType, depth: Int, on backend: any Backend
  ) throws -> Bool {
    guard let form = dtype.twoOfFour, depth > 0, depth % form.blockElements == 0 else { return false }
    guard backend.device != .shapes else { return true }
    guard let kernel = backend.kernel(ANGEL_FAMILY_two_of_four, KernelDTypes(dtype)) else { return false }
    let count = rows.count / dtype.byteCount(of: depth)
    let flags = Tensor(uninitialized: TensorSpecification([count], .uint8), on: backend, kind: .workspace)
    let arguments = angel_two_of_four_arguments(
      source: rows.baseAddress, flags: flags.address.assumingMemoryBound(to: UInt8.self), rows: Int64(count),
      depth: Int64(depth))
    backend.launch(kernel, arguments, Work(bytes: rows.count), keeping: flags)
    return try flags.withHostBytes { $0.allSatisfy { $0 == 1 } }
  }
}

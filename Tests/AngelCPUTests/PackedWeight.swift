/// A random weight in file layout, packed by the kernel under test, with the reference's values beside it.
import AngelCore
import CAngelKernels

/// Memory aligned as kernels want it.
final class AlignedBytes {
  let address: UnsafeMutableRawPointer
  let count: Int
  init(count: Int) {
    self.count = count
    address = .allocate(byteCount: max(count, 1), alignment: 64)
    address.initializeMemory(as: UInt8.self, repeating: 0xA5, count: max(count, 1))
  }
  deinit { address.deallocate() }
}

/// The instruction sets this machine has.
let supportedSets: [angel_isa] = [
  ANGEL_ISA_SCALAR, ANGEL_ISA_AVX2, ANGEL_ISA_AVX512, ANGEL_ISA_AVX512_BF16, ANGEL_ISA_AMX, ANGEL_ISA_NEON,
].filter { angel_kernel_lookup_for($0, ANGEL_FAMILY_matmul, ANGEL_F32, ANGEL_F32, ANGEL_NO_DTYPE) != nil }

extension angel_dtype {
  init(_ dtype: DType) { self.init(rawValue: dtype.rawValue) }
}

/// Runs `kernel` in `parts` parts one after the other, or on `pool`.
func launch<Arguments>(_ kernel: angel_kernel?, _ arguments: Arguments, parts: Int32 = 1, on pool: OpaquePointer? = nil)
{
  withUnsafePointer(to: arguments) { pointer in
    if let pool {
      angel_pool_run(pool, kernel, pointer, parts)
    } else {
      for part in 0..<parts { kernel?(pointer, part, parts) }
    }
  }
}

struct PackedWeight {
  let dtype: DType
  let columns: Int, depth: Int
  /// [columns, depth], by the reference.
  let values: [[Float]]
  let packed: AlignedBytes

  init(_ dtype: DType, columns: Int, depth: Int, seed: UInt64 = 1, parts: Int32 = 1, rowOrder: [Int32]? = nil) {
    var random = TestRandom(state: seed)
    let source = BlockReference.randomBytes(dtype, count: columns * depth, using: &random)
    self.init(dtype, source: source, columns: columns, depth: depth, parts: parts, rowOrder: rowOrder)
  }

  /// The rows of `source` as a file stores them.
  init(_ dtype: DType, source: [UInt8], columns: Int, depth: Int, parts: Int32 = 1, rowOrder: [Int32]? = nil) {
    let rowBytes = dtype.byteCount(of: depth)
    self.dtype = dtype
    self.columns = columns
    self.depth = depth
    values = (0..<columns).map { column in
      let row = rowOrder.map { Int($0[column]) } ?? column
      return BlockReference.values(dtype, source[row * rowBytes..<(row + 1) * rowBytes])
    }
    packed = AlignedBytes(count: Int(angel_packed_bytes(angel_dtype(dtype), Int64(columns), Int64(depth))))
    let kernel = angel_kernel_lookup(ANGEL_FAMILY_pack, angel_dtype(dtype), ANGEL_NO_DTYPE, ANGEL_NO_DTYPE)
    let target = packed.address
    source.withUnsafeBytes { source in
      (rowOrder ?? []).withUnsafeBufferPointer { order in
        let arguments = angel_pack_arguments(
          source: source.baseAddress, target: target, row_order: rowOrder == nil ? nil : order.baseAddress,
          columns: Int64(columns), depth: Int64(depth))
        launch(kernel, arguments, parts: parts)
      }
    }
  }

  /// Dequantised rows by the embedding kernel.
  func embedded(_ tokens: [Int32], parts: Int32 = 1) -> [Float] {
    var output = [Float](repeating: .nan, count: tokens.count * depth)
    let kernel = angel_kernel_lookup(ANGEL_FAMILY_embedding, angel_dtype(dtype), ANGEL_NO_DTYPE, ANGEL_NO_DTYPE)
    tokens.withUnsafeBufferPointer { tokens in
      output.withUnsafeMutableBufferPointer { output in
        let arguments = angel_embedding_arguments(
          tokens: tokens.baseAddress, weight: packed.address, output: output.baseAddress, rows: Int64(tokens.count),
          columns: Int64(columns), depth: Int64(depth))
        launch(kernel, arguments, parts: parts)
      }
    }
    return output
  }
}

/// Rows of float32 activations, and their int8 form.
struct Activations {
  let rows: Int, depth: Int
  let values: [Float]
  let quantized: AlignedBytes
  var rowBytes: Int { Int(angel_int8_row_bytes(Int64(depth))) }

  init(rows: Int, depth: Int, seed: UInt64 = 2) {
    var random = TestRandom(state: seed)
    self.init(depth: depth, values: (0..<rows * depth).map { _ in random.unitFloat() })
  }

  init(depth: Int, values: [Float], isa: angel_isa = angel_isa_current()) {
    self.depth = depth
    self.values = values
    rows = values.count / depth
    quantized = AlignedBytes(count: depth % 32 == 0 ? rows * Int(angel_int8_row_bytes(Int64(depth))) : 0)
    guard depth % 32 == 0 else { return }
    let target = quantized.address
    values.withUnsafeBufferPointer { input in
      let arguments = angel_quantize_rows_arguments(
        input: input.baseAddress, output: target, rows: Int64(rows), depth: Int64(depth))
      let kernel = angel_kernel_lookup_for(isa, ANGEL_FAMILY_quantize_rows, ANGEL_F32, ANGEL_INT8_ROWS, ANGEL_NO_DTYPE)
      launch(kernel, arguments)
    }
  }

  /// Quant, scale and half sums of a row, read from the layout the header describes.
  func quant(_ row: Int, _ k: Int) -> Int {
    Int(quantized.address.load(fromByteOffset: row * rowBytes + k, as: Int8.self))
  }
  func scale(_ row: Int, block: Int) -> Float {
    quantized.address.load(fromByteOffset: row * rowBytes + depth + 4 * block, as: Float.self)
  }
  func sum(_ row: Int, half: Int) -> Int {
    let offset = row * rowBytes + depth + depth / 32 * 4 + 4 * half
    return Int(quantized.address.load(fromByteOffset: offset, as: Int32.self))
  }
}

/// How a product is run.
struct Launch {
  var isa = angel_isa_current()
  var rows: Int
  var firstRow = 0
  var parts: Int32 = 1
  var pool: OpaquePointer?
  var isInt8 = false
}

extension PackedWeight {
  /// input · weightᵀ + bias as the bits of the output, [rows, columns].
  func product(_ input: Activations, bias: [Float]?, _ how: Launch) -> [UInt32] {
    var output = [Float](repeating: .nan, count: how.rows * columns)
    let inputDType = how.isInt8 ? ANGEL_INT8_ROWS : ANGEL_F32
    let kernel = angel_kernel_lookup_for(how.isa, ANGEL_FAMILY_matmul, inputDType, angel_dtype(dtype), ANGEL_NO_DTYPE)
    input.values.withUnsafeBufferPointer { values in
      (bias ?? []).withUnsafeBufferPointer { biases in
        output.withUnsafeMutableBufferPointer { output in
          let address: UnsafeRawPointer? =
            how.isInt8
            ? UnsafeRawPointer(input.quantized.address) + how.firstRow * input.rowBytes
            : values.baseAddress.map { UnsafeRawPointer($0 + how.firstRow * depth) }
          let arguments = angel_matmul_arguments(
            input: address, weight: packed.address, bias: bias == nil ? nil : biases.baseAddress,
            output: output.baseAddress, rows: Int64(how.rows), depth: Int64(depth), columns: Int64(columns),
            accumulates: 0)
          launch(kernel, arguments, parts: how.parts, on: how.pool)
        }
      }
    }
    return output.map(\.bitPattern)
  }
}

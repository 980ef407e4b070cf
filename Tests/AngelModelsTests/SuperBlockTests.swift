import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelTesting
import Testing

@testable import AngelTensor

/// Rounding to the K formats, beside what llama.cpp's quantiser makes of the same matrix.
@Suite("Super blocks")
struct SuperBlockTests {
  private let backend: CPUBackend
  private let golden: SafetensorsFile
  /// [8, 512], and the importance of its columns.
  private let (matrix, importance): (Tensor, Tensor)

  init() throws {
    backend = try CPUBackend(threadCount: 1)
    golden = try SafetensorsFile(path: Goldens.path("formats/super-blocks.safetensors"))
    matrix = Tensor(try Self.read("matrix", golden) as [Float], shape: [8, 512], on: backend)
    importance = Tensor(try Self.read("importance", golden) as [Float], on: backend)
  }

  private static func read<Element>(_ name: String, _ file: SafetensorsFile) throws -> [Element] {
    let entry = try #require(file.header.tensors.first { $0.name == name })
    return try file.file.withBytes(entry.byteRange) { Array($0.bindMemory(to: Element.self)) }
  }

  /// The values of blocks, by the reader that the `gguf` package has agreed with (`PackedFormatTests`).
  private func values(_ blocks: [UInt8], _ format: DType) throws -> Tensor {
    blocks.withUnsafeBytes { PackedMatrix(rows: $0, dtype: format, columns: 8, depth: 512, on: backend) }.dequantized()
  }

  private func error(_ values: Tensor, weights: Tensor?) throws -> Double {
    let squares = (matrix - values).squared()
    return Double(try (weights.map { squares * $0 } ?? squares).sum().read(as: Float.self)[0])
  }

  @Test("lose less than llama.cpp's, with and without importance", arguments: [DType.q4_K, .q5_K, .q6_K])
  func errors(format: DType) throws {
    for isWeighted in [false, true] {
      let weights = isWeighted ? importance : nil
      let own = matrix.fittedRows(as: format, importance: weights)
      let found = try error(PackedMatrix(packing: own).dequantized(), weights: weights)
      let theirs: [UInt8] = try Self.read(format.name + (isWeighted ? "_weighted" : ""), golden)
      let wanted = try error(values(theirs, format), weights: weights)
      #expect(found < 0.985 * wanted && found > 0.7 * wanted, "\(format.name): \(found) of \(wanted)")
    }
  }

  @Test("hold what they were found for: every value the nearest of its group", arguments: [DType.q4_K, .q5_K, .q6_K])
  func nearest(format: DType) throws {
    let rounded: [Float] = try PackedMatrix(packing: matrix.encodedRows(as: format)).dequantized().read()
    let wanted: [Float] = try matrix.read()
    let group = format == .q6_K ? 16 : 32
    for start in stride(from: 0, to: wanted.count, by: group) {
      let used = Set(rounded[start..<start + group])
      for place in start..<start + group {
        let miss = abs(rounded[place] - wanted[place])
        #expect(used.allSatisfy { miss <= abs($0 - wanted[place]) * 1.0001 + 1e-7 })
      }
    }
  }

  @Test("lose less still when errors are passed on", arguments: [DType.q4_K, .q5_K, .q6_K])
  func spreading(format: DType) throws {
    // Inputs of which neighbours are alike.
    let random = PhiloxGenerator(seed: 9)
    func draw(_ place: Int) -> Float { 2 * random.uniform(at: UInt64(place)) - 1 }
    let inputs = (0..<640 * 512).map {
      draw($0 / 512 * 1024 + $0 % 512 / 8) + 0.3 * draw($0 / 512 * 1024 + 128 + $0 % 512)
    }
    let rows = Tensor(inputs, shape: [640, 512], on: backend)
    let moments = DenseProduct(transposesLeft: true)(rows, rows) / 640
    let squares: [Float] = try moments.read()
    let importance = Tensor((0..<512).map { squares[$0 * 513] }, on: backend)
    let order = Tensor((0..<512).map { Int32($0) }, on: backend)
    let factor = moments.inverseFactor(order: order, damping: 0.01)
    func loss(_ blocks: Tensor) throws -> Double {
      let misses = matrix - PackedMatrix(packing: blocks).dequantized()
      return Double(try (misses * DenseProduct()(misses, moments)).sum().read(as: Float.self)[0])
    }
    let weighted = try loss(matrix.fittedRows(as: format, importance: importance))
    let spread = try loss(matrix.fittedRows(as: format, importance: importance, spreading: (factor, order)))
    #expect(spread < 0.7 * weighted)
  }

  @Test("of zeros and of one value are what they were")
  func flat() throws {
    let flat = Tensor(
      [Float](repeating: 0, count: 256) + [Float](repeating: 0.5, count: 256) + [Float](repeating: -0.25, count: 256),
      shape: [3, 256], on: backend)
    let wanted: [Float] = try flat.read()
    for format in [DType.q4_K, .q5_K, .q6_K] {
      let values: [Float] = try PackedMatrix(packing: flat.encodedRows(as: format)).dequantized().read()
      #expect(zip(values, wanted).allSatisfy { abs($0 - $1) < 0.01 }, "\(format.name)")
    }
  }
}

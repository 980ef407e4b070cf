import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelTesting
import Testing

@testable import AngelTensor

/// What a GGUF file's bytes mean, by the `gguf` Python package, bit for bit after packing.
@Suite("Packed formats")
struct PackedFormatTests {
  static let names = [
    "f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k", "q5_k", "q6_k", "q2_k", "q3_k", "iq4_nl",
    "iq4_xs", "tq1_0", "tq2_0",
  ]

  @Test("have exactly the values that the gguf package finds", arguments: names)
  func values(_ name: String) throws {
    let backend = try CPUBackend(threadCount: 1)
    let record = try Checkpoint.open(Goldens.path("formats/quantized.gguf")).tensor(name)
    let matrix = try record.withBytes {
      PackedMatrix(rows: $0, dtype: record.dtype, columns: record.shape[0], depth: record.shape[1], on: backend)
    }
    let values: [Float] = try matrix.dequantized().read()
    let golden = try SafetensorsFile(path: Goldens.path("formats/quantized.safetensors"))
    let expected = try #require(golden.header.tensors.first { $0.name == name })
    let floats = try golden.file.withBytes(expected.byteRange) { Array($0.bindMemory(to: Float.self)) }
    #expect(values.map(\.bitPattern) == floats.map(\.bitPattern))
  }
}

import AngelCPU
import AngelCore
import AngelMemory
import AngelTensor
import AngelTesting
import Testing

/// The operations of diffusion models against PyTorch in float64, values and gradients.
@Suite("Image operations equal PyTorch") struct ImageOperationTests {
  private static func cases(_ name: String) -> [Int] {
    let count = (try? Goldens.json("operations/\(name).json")["cases"]?.array?.count) ?? 0
    return Array(0..<count)
  }

  private struct Golden {
    let entry: JSONValue
    let backend: CPUBackend

    init(_ name: String, _ index: Int) throws {
      entry = try #require(try Goldens.json("operations/\(name).json")["cases"]?.array)[index]
      backend = try TestBackend.make()
    }

    func floats(_ key: String) throws -> [Float] {
      try #require(entry[key]?.array).compactMap { $0.double.map { Float($0) } }
    }
    func integers(_ key: String) throws -> [Int] { try #require(entry[key]?.array).compactMap(\.integer) }
    func integer(_ key: String) throws -> Int { try #require(entry[key]?.integer) }
    func leaf(_ key: String, _ shape: [Int]? = nil) throws -> Tensor {
      let values = try floats(key)
      return Tensor(values, shape: Shape(shape ?? [values.count]), on: backend).asLeaf()
    }

    /// Holds a result and the gradients by the named leaves to the golden.
    func check(_ result: Tensor, _ leaves: [(String, Tensor)], tolerance: Double = 2e-6) throws {
      #expect(try normalizedError(result.detached.read(as: Float.self), floats("output")) < tolerance)
      let weights = Tensor(try floats("output_gradient"), shape: result.shape, on: backend)
      let gradients = try (result * weights).sum().backward()
      for (name, leaf) in leaves {
        let got = try #require(gradients[leaf]).read(as: Float.self)
        #expect(try normalizedError(got, floats(name + "_gradient")) < tolerance, "\(name)")
      }
    }
  }

  @Test("convolutions", arguments: cases("conv2d"))
  func convolutions(_ index: Int) throws {
    let golden = try Golden("conv2d", index)
    func pair(_ key: String) throws -> ConvolutionGeometry.Pair {
      let values = try golden.integers(key)
      return .init(y: values[0], x: values[1])
    }
    let geometry = ConvolutionGeometry(
      stride: try pair("stride"), padding: try pair("padding"), dilation: try pair("dilation"),
      groups: try golden.integer("groups"))
    let x = try golden.leaf("input", try golden.integers("input_shape"))
    let weight = try golden.leaf("weight", try golden.integers("weight_shape"))
    let bias = try golden.leaf("bias")
    let result = x.convolved(with: weight, bias: bias, geometry)
    #expect(try result.shape.array == golden.integers("output_shape"))
    try golden.check(result, [("input", x), ("weight", weight), ("bias", bias)])
  }

  @Test("group norms", arguments: cases("group_norm"))
  func groupNorms(_ index: Int) throws {
    let golden = try Golden("group_norm", index)
    let x = try golden.leaf("input", try golden.integers("shape"))
    let (weight, bias) = (try golden.leaf("weight"), try golden.leaf("bias"))
    let result = x.groupNormalized(
      groups: try golden.integer("groups"), weight: weight, bias: bias, epsilon: 1e-5,
      thenSiLU: golden.entry["silu"]?.bool == true)
    // Around a mean of 100, float32 has six digits of what differs.
    try golden.check(result, [("input", x), ("weight", weight), ("bias", bias)], tolerance: index == 4 ? 2e-5 : 2e-6)
  }

  @Test("up-sampling and average pooling", arguments: cases("resampling"))
  func resampling(_ index: Int) throws {
    let golden = try Golden("resampling", index)
    let x = try golden.leaf("input", try golden.integers("shape"))
    let factor = try golden.integer("factor")
    let result = golden.entry["kind"]?.string == "up" ? x.upsampled(by: factor) : x.averagePooled(by: factor)
    try golden.check(result, [("input", x)], tolerance: 1e-6)
  }

  @Test("time-step embeddings are diffusers'", arguments: cases("timesteps"))
  func timesteps(_ index: Int) throws {
    let golden = try Golden("timesteps", index)
    var waves = TimestepWaves(count: try golden.integer("dimension"))
    waves.cosinesFirst = golden.entry["flip"]?.bool == true
    waves.shift = try #require(golden.entry["shift"]?.double)
    waves.scale = try #require(golden.entry["scale"]?.double)
    waves.longest = try #require(golden.entry["period"]?.double)
    let result = waves(Tensor(try golden.floats("steps"), on: golden.backend))
    // The reference takes angles in float32, of which a scale of 1,000 leaves four digits.
    let tolerance = waves.scale > 1 ? 1e-4 : 1e-6
    #expect(try normalizedError(result.read(as: Float.self), golden.floats("output")) < tolerance)
  }

  @Test("images in bfloat16 are widened, and the result is rounded")
  func narrow() throws {
    let backend = try TestBackend.make()
    let x = backend.random([1, 4, 4, 8], seed: 1).cast(to: .bfloat16)
    let weight = backend.random([6, 3, 3, 8], seed: 2)
    let geometry = ConvolutionGeometry(padding: 1)
    let result = x.convolved(with: weight, bias: nil, geometry)
    #expect(result.dtype == .bfloat16)
    let want = x.cast(to: .float32).convolved(with: weight, bias: nil, geometry).cast(to: .bfloat16)
    #expect(try result.cast(to: .float32).read(as: Float.self) == want.cast(to: .float32).read(as: Float.self))
    let ones = Tensor([Float](repeating: 1, count: 8), on: backend)
    let normalized = x.groupNormalized(groups: 2, weight: ones, bias: ones * 0, epsilon: 1e-5)
    #expect(normalized.dtype == .bfloat16)
  }
}

import AngelCPU
import AngelCore
import AngelMemory
import AngelNN
import AngelTensor
import AngelTesting
import Testing

@Suite("Layers of diffusion models") struct ImageLayerTests {
  private func filled<Layer: Module>(_ layer: Layer, on backend: any Backend) -> Layer {
    for (index, entry) in layer.parameterShapes().enumerated() {
      let generator = PhiloxGenerator(seed: 5, stream: UInt64(index))
      let values = (0..<entry.parameter.shape.elementCount).map { generator.uniform(at: UInt64($0)) - 0.5 }
      entry.parameter.value = .trained(Tensor(values.map { Float($0) }, shape: entry.parameter.shape, on: backend))
    }
    return layer
  }

  private func image(_ shape: Shape, on backend: any Backend) -> Tensor {
    Tensor((0..<shape.elementCount).map { Float(($0 * 37) % 23) / 11 - 1 }, shape: shape, on: backend)
  }

  @Test("a small block of them has the shapes it promises, and every parameter gets a gradient")
  func block() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2)
    let convolution = filled(Convolution(8, 16, kernel: 3, .init(stride: 2, padding: 1)), on: backend)
    let norm = filled(GroupNorm(16, groups: 4), on: backend)
    var waves = TimestepWaves(count: 12)
    waves.cosinesFirst = true
    let time = filled(TimestepEmbedding(waves, width: 16), on: backend)
    let adaptive = filled(AdaptiveLayerNorm(16, condition: 16, count: 2), on: backend)
    let x = norm(convolution(image([2, 6, 8, 8], on: backend)), thenSiLU: true)
    #expect(x.shape == [2, 3, 4, 16])
    let condition = time(Tensor([3 as Float, 700], on: backend))
    #expect(condition.shape == [2, 16])
    let modulations = adaptive.modulations(condition)
    #expect(modulations.count == 2 && modulations[1].gate.shape == [2, 1, 16])
    let tokens = x.reshaped(2, -1, 16)
    var result = tokens + adaptive(tokens, modulations[0]) * modulations[0].gate
    result = result + adaptive(result, modulations[1]) * modulations[1].gate
    let image = result.reshaped(2, 3, 4, 16).upsampled(by: 2).averagePooled(by: 2)
    let gradients = try image.squared().sum().backward()
    let parameters =
      convolution.parameterShapes() + norm.parameterShapes() + time.parameterShapes()
      + adaptive.parameterShapes()
    for entry in parameters {
      let gradient = try #require(gradients[entry.parameter], "\(entry.path)").read(as: Float.self)
      #expect(gradient.contains { $0 != 0 } && gradient.allSatisfy(\.isFinite), "\(entry.path)")
    }
  }

  @Test("a modulation of zeros leaves the plain norm")
  func plain() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let layer = AdaptiveLayerNorm(8, condition: 4, count: 1)
    for entry in layer.parameterShapes() {
      entry.parameter.value = .trained(
        Tensor(
          [Float](repeating: 0, count: entry.parameter.shape.elementCount), shape: entry.parameter.shape, on: backend))
    }
    let x = image([1, 5, 8], on: backend)
    let got = layer(x, layer.modulations(image([1, 4], on: backend))[0])
    let ones = Tensor([Float](repeating: 1, count: 8), on: backend)
    let want = x.reshaped(5, 8).layerNormalized(weight: ones, bias: ones * 0, epsilon: 1e-6)
    #expect(try normalizedError(got.detached.read(as: Float.self), want.read(as: Float.self)) < 1e-6)
  }
}

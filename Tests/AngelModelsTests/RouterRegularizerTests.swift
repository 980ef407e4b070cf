import AngelCPU
import AngelCore
import AngelMemory
import AngelNN
import AngelTensor
import AngelTesting
import Testing

@Suite("Router losses") struct RouterRegularizerTests {
  private func backend() throws -> CPUBackend { try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2) }

  private func random(_ shape: Shape, seed: UInt64, on backend: any Backend) -> Tensor {
    let generator = PhiloxGenerator(seed: seed, stream: 0)
    let values = (0..<shape.elementCount).map { 2 * generator.uniform(at: UInt64($0)) - 1 }
    return Tensor(values, shape: shape, on: backend)
  }

  @Test("balance and z are those of transformers and of the paper, and so are their gradients")
  func golden() throws {
    let backend = try backend()
    let golden = try Goldens.json("operations/routers.json")
    for entry in try #require(golden["cases"]?.array) {
      let (rows, choices) = (try #require(entry["rows"]?.integer), try #require(entry["choices"]?.integer))
      func floats(_ key: String) throws -> [Float] {
        try #require(entry[key]?.array).compactMap { $0.double.map { Float($0) } }
      }
      let scores = Tensor(try floats("scores"), shape: [rows, choices], on: backend).asLeaf()
      let order = scores.detached.softmax()
        .routed(toBest: try #require(entry["count"]?.integer), normalizing: true).order(expertCount: choices)
      for (index, key) in ["balance", "z"].enumerated() {
        let losses = RouterRegularizer.losses(of: scores, order.offsets)
        let loss = index == 0 ? losses.balance : losses.z
        let value = Double(try loss.detached.read(as: Float.self)[0])
        #expect(abs(value / (try #require(entry[key]?.double)) - 1) < 1e-5)
        let gradient = try #require(loss.backward()[scores]).read(as: Float.self)
        #expect(normalizedError(gradient, try floats(key + "_gradient")) < 1e-5)
      }
    }
  }

  @Test("gradients equal finite differences")
  func differences() throws {
    let backend = try backend()
    let offsets = Tensor([0 as Int32, 3, 3, 8, 10], on: backend)
    let check = GradientCheck([random([5, 4], seed: 3, on: backend).cast(to: .float64)]) {
      let (balance, z) = RouterRegularizer.losses(of: $0[0], offsets)
      return balance * 0.3 + z * 0.7
    }
    #expect(try check.errorAgainstDifferences() < 1e-8)
  }

  @Test(
    "a watched layer has its values unchanged and gradients that the losses are added to", arguments: [false, true])
  func watched(recomputes: Bool) throws {
    let backend = try backend()
    let layer = MixtureOfExperts(16, .init(expertCount: 4, expertsPerToken: 2, innerSize: 32))
    for (index, entry) in layer.parameterShapes().enumerated() {
      entry.parameter.value = .trained(
        random(entry.parameter.shape, seed: 20 + UInt64(index), on: backend).cast(to: .float32).copied())
    }
    let router = try #require(layer.parameterShapes().first { $0.path == "router.weight" }).parameter
    let x = random([7, 16], seed: 9, on: backend).cast(to: .float32)
    func run(_ routers: RouterRegularizer?) throws -> (values: [Float], gradients: [[Float]]) {
      var context = ForwardContext(segments: Segments(lengths: [7], on: backend))
      context.recomputesLayers = recomputes
      context.routers = routers
      let result = context.layer(x) { [context] in layer($0, context) }
      let gradients = try result.sum().backward()
      return (
        try result.detached.read(), try layer.parameterShapes().map { try #require(gradients[$0.parameter]).read() }
      )
    }
    let plain = try run(nil)
    let idle = RouterRegularizer()
    #expect(try run(idle).gradients == plain.gradients)
    let routers = RouterRegularizer(balance: 0.5, z: 0.25, share: 0.5)
    let watched = try run(routers)
    #expect(watched.values == plain.values)
    let loads = try routers.loads()
    #expect(try loads == idle.loads())
    #expect(loads.count == 1 && loads[0].rows.reduce(0, +) == 14 && loads[0].balance >= 1 && loads[0].z > 0)

    let weight = try #require(router.trained)
    let scores = x.matmul(weight, bias: nil)
    let order = scores.detached.softmax().routed(toBest: 2, normalizing: true).order(expertCount: 4)
    let (balance, z) = RouterRegularizer.losses(of: scores, order.offsets)
    let extra: [Float] = try #require((balance * 0.25 + z * 0.125).backward()[router]).read()
    for (index, entry) in layer.parameterShapes().enumerated() {
      guard entry.parameter === router else {
        #expect(watched.gradients[index] == plain.gradients[index], "\(entry.path)")
        continue
      }
      #expect(normalizedError(zip(plain.gradients[index], extra).map { $0 + $1 }, watched.gradients[index]) < 1e-5)
    }
  }
}

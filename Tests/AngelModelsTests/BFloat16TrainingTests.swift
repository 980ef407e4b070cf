import AngelCPU
import AngelCore
import AngelMemory
import AngelNN
import AngelTensor
import AngelTesting
import Testing

@Suite("Training in bfloat16")
struct BFloat16TrainingTests {
  static let names = ["llama-tiny", "llama-tiny-tied", "gpt2-tiny", "qwen3-tiny", "gemma3_text-tiny"]

  /// AdamW over the kernels that training runs, which see master weights in halves.
  private final class Optimizer {
    private var states: [ObjectIdentifier: (OptimizerState, OptimizerState)] = [:]

    func step(_ run: TrainingRun, _ gradients: Gradients, count: Int) throws {
      for (_, parameter) in run.model.trainedParameters {
        let gradient = try #require(gradients[parameter])
        #expect(gradient.dtype == .float32)
        let state =
          states[ObjectIdentifier(parameter)]
          ?? (OptimizerState(parameter.shape, on: run.backend), OptimizerState(parameter.shape, on: run.backend))
        states[ObjectIdentifier(parameter)] = state
        let step = AdamWStep(
          learningRate: 0.003, weightDecay: 0.1, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, count: count)
        parameter.update { step.apply(to: $0, gradient: gradient, first: state.0, second: state.1) }
      }
    }
  }

  private func losses(_ run: TrainingRun, steps: Int) throws -> [Float] {
    let optimizer = Optimizer()
    return try (0..<steps).map { step in
      let loss = try run.loss(step: step)
      try optimizer.step(run, try loss.backward(), count: step + 1)
      return try loss.read(as: Float.self)[0]
    }
  }

  @Test("twenty losses stay within a hundredth of those in float32, and fall", arguments: names)
  func losses(_ name: String) throws {
    let wide = try losses(TrainingRun(name), steps: 20)
    let run = try TrainingRun(name)
    run.model.compute(in: .bfloat16)
    let narrow = try losses(run, steps: 20)
    for (a, b) in zip(narrow, wide) { #expect(abs(a / b - 1) < 0.01) }
    #expect(narrow[19] < narrow[0])
  }

  /// Rounding moves a few tokens between experts that are nearly as good: sixty-four tokens feel that.
  @Test(
    "with experts they stay within a twentieth, and fall",
    arguments: ["mixtral-tiny", "qwen3_moe-tiny", "hunyuan_v1_moe-tiny"])
  func expertLosses(_ name: String) throws {
    let wide = try losses(TrainingRun(name), steps: 20)
    let run = try TrainingRun(name)
    run.model.compute(in: .bfloat16)
    let narrow = try losses(run, steps: 20)
    for (a, b) in zip(narrow, wide) { #expect(abs(a / b - 1) < 0.05) }
    #expect(narrow[19] < narrow[0])
  }

  @Test("gradients are those of float32 but for what rounding takes", arguments: names)
  func gradients(_ name: String) throws {
    let (wide, narrow) = (try TrainingRun(name), try TrainingRun(name))
    narrow.model.compute(in: .bfloat16)
    let (want, got) = (try wide.loss(step: 0).backward(), try narrow.loss(step: 0).backward())
    func read(_ gradients: Gradients, _ run: TrainingRun) throws -> [[Float]] {
      try run.model.trainedParameters.map { try #require(gradients[$0.parameter]).read(as: Float.self) }
    }
    let (values, references) = (try read(got, narrow), try read(want, wide))
    func norm(_ values: some Sequence<Float>) -> Double {
      values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    }
    // Some gradients are zero but for rounding, those of a bias of keys for one: the norm of them all is what counts there.
    let whole = norm(references.joined())
    for (index, (path, _)) in narrow.model.trainedParameters.enumerated() {
      let difference = norm(zip(values[index], references[index]).map { $0 - $1 })
      #expect(difference < 0.08 * norm(references[index]) + 0.001 * whole, "\(name): \(path)")
    }
  }

  @Test("the number of threads changes no bit", arguments: ["llama-tiny", "gpt2-tiny", "mixtral-tiny"])
  func threads(_ name: String) throws {
    let runs = try [1, 3].map { count in
      let run = try TrainingRun(name, on: CPUBackend(pool: PagePool(budget: 256 << 20), threadCount: count))
      run.model.compute(in: .bfloat16)
      _ = try losses(run, steps: 3)
      return try run.model.trainedParameters.map {
        try #require($0.parameter.trainedValues).values.read(as: Float.self)
      }
    }
    #expect(runs[0] == runs[1])
  }

  @Test("a matrix takes the room of its float32 values and is told apart from them only by what products read")
  func held() throws {
    let run = try TrainingRun("llama-tiny")
    let before = try run.model.trainedParameters.map {
      try #require($0.parameter.trainedValues).values.read(as: Float.self)
    }
    run.model.compute(in: .bfloat16)
    for ((path, parameter), values) in zip(run.model.trainedParameters, before) {
      #expect(try #require(parameter.trainedValues).values.read(as: Float.self) == values, "\(path)")
      #expect(parameter.trained?.dtype == (parameter.shape.rank == 2 ? .bfloat16 : .float32), "\(path)")
    }
    let copy = run.model.detached()
    #expect(try !run.logits(step: 0, of: copy).read(as: Float.self).isEmpty)
    run.model.compute(in: .float32)
    for ((_, parameter), values) in zip(run.model.trainedParameters, before) {
      #expect(try #require(parameter.trained).detached.read(as: Float.self) == values)
    }
  }
}

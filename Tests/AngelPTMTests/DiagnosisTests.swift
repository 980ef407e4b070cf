import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelData
import AngelMemory
import AngelModels
import AngelNN
import AngelTensor
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("What a run says of its numbers") struct DiagnosisTests {
  /// A tiny Llama on random tokens.
  private func trainer(
    _ change: (any LanguageModel) -> Void = { _ in }, rule: OptimizerConfiguration.Rule = .adamw, upRatio: Double = 1
  ) throws -> Trainer {
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 26), threadCount: 1)
    var architecture = ArchitectureConfiguration()
    (architecture.layers, architecture.width, architecture.heads, architecture.inner) = (3, 32, 2, 48)
    let model = architecture.makeModel(vocabularySize: 40, sequenceLength: 16)
    InitialValues.fill(model, seed: 1, layerCount: 3, on: backend)
    change(model)
    var optimizer = OptimizerConfiguration()
    optimizer.rule = rule
    var schedule = TrainingSchedule()
    schedule.steps = 4
    schedule.watchEvery = 2
    return try Trainer(
      model, source: OneBatch(), optimizer: optimizer, learningRate: LearningRateSchedule(), schedule: schedule,
      upRatio: upRatio, on: backend)
  }

  private struct OneBatch: BatchSource {
    var rowLimit: Int { 15 }
    var batchesPerEpoch: Int { 1 }
    func batch(_ index: Int) throws -> TokenBatch { TokenBatch([TokenSample((0..<16).map { Int32($0 * 7 % 40) })]) }
  }

  /// Replaces the first value of a parameter.
  private func plant(_ value: Float, in path: String) -> (any LanguageModel) -> Void {
    { model in
      guard let parameter = model.parameterShapes().first(where: { $0.path == path })?.parameter else { return }
      parameter.update { values in
        guard var floats = try? values.values.read(as: Float.self) else { return }
        for index in floats.indices.prefix(parameter.shape.elementCount / 2) { floats[index] = value }
        floats.withUnsafeBytes { values.overwrite(with: $0) }
      }
    }
  }

  @Test("a weight that is not finite is named")
  func weights() throws {
    let record = try trainer(plant(.infinity, in: "blocks.1.feedForward.up.weight")).takeStep()
    #expect(record.isSkipped)
    #expect(record.culprit == "the weights of blocks.1.feedForward.up.weight, before the step")
    #expect(record.json["first_not_finite"]?.string == record.culprit)
  }

  @Test("a layer whose output overflows is named, the first of them", arguments: [0, 2])
  func forward(_ layer: Int) throws {
    let trainer = try trainer { model in
      // Their product is beyond float32, each of them is not.
      for name in ["up", "down"] { plant(1e30, in: "blocks.\(layer).feedForward.\(name).weight")(model) }
    }
    let record = try trainer.takeStep()
    #expect(record.isSkipped && record.culprit == "layer \(layer), forward", "\(record.culprit ?? "")")
  }

  @Test("a gradient that overflows is named, the one nearest the loss")
  func backward() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 24), threadCount: 1)
    let trainer = try trainer()
    let gradients = trainer.parameters.map { path, parameter in
      let isBroken = path.hasPrefix("blocks.0") || path.hasPrefix("blocks.1.attention")
      let values = [Float](repeating: isBroken ? .nan : 1, count: parameter.shape.elementCount)
      return (path: path, parameter: parameter, gradient: Tensor(values, shape: parameter.shape, on: backend))
    }
    let name = try trainer.firstNotFinite(in: [try OneBatch().batch(0)], gradients)
    #expect(name == "the gradient of blocks.1.attention.output.weight, backward")
  }

  @Test("updates by weight are measured at every second step, by layer, and are those of the values")
  func ratios() throws {
    let trainer = try trainer(rule: .sgd)
    let before = try trainer.parameters.map { try $0.parameter.trainedValues?.values.read(as: Float.self) ?? [] }
    let ratios = try #require(try trainer.takeStep().updateRatios)
    let after = try trainer.parameters.map { try $0.parameter.trainedValues?.values.read(as: Float.self) ?? [] }
    #expect(ratios.groups.map(\.name) == ["embedding", "blocks.0", "blocks.1", "blocks.2", "norm"])
    func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let moved = zip(before, after).flatMap { zip($0, $1).map { Double($1) - Double($0) } }
    let want = norm(moved) / norm(before.flatMap { $0.map(Double.init) })
    #expect(abs(ratios.overall / want - 1) < 1e-5 && want > 0)
    #expect(try trainer.takeStep().updateRatios == nil)
    #expect(try trainer.takeStep().updateRatios != nil)
  }

  @Test("runs log updates by weight, and the error of too many skipped steps names the first layer")
  func runs() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["training.watch_every=5"]))
    let lines = try MetricsFile.lines(run.folder("run/metrics.jsonl"))
    let steps = lines.filter { $0["update_ratio"] != nil }.compactMap { $0["step"]?.integer }
    #expect(steps == [1, 6])
    let ratio = try #require(lines.first { $0["update_ratio"] != nil }?["update_ratio"]?.double)
    #expect(ratio > 1e-4 && ratio < 1)
    let broken = TinyRun(try TemporaryFolder())
    let error = #expect(throws: PTMError.self) {
      try broken.execute(
        try broken.recipe([
          "training.steps=40", "optimizer.learning_rate=100", "optimizer.clip=null", "optimizer.rule=sgd",
          "schedule.warmup=0", "training.skip_limit=3",
        ]))
    }
    #expect(error?.description.contains("3 steps in a row, first ") == true, "\(error?.description ?? "")")
  }

  @Test("parameters of a group are named by the first words of their path")
  func groups() {
    #expect(UpdateRatios.group(of: "blocks.3.attention.query.weight") == "blocks.3")
    #expect(UpdateRatios.group(of: "embedding.weight") == "embedding")
  }
}

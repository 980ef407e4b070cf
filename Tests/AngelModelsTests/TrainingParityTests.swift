import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelModels
import AngelNN
import AngelTensor
import AngelTesting
import Testing

/// The model definitions that serve, trained: gradients and losses against PyTorch's, in float32.
@Suite("Training equals PyTorch")
struct TrainingParityTests {
  static let names = Goldens.names(in: "training").filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }

  @Test("gradients of one step", arguments: names)
  func gradients(_ name: String) throws {
    let run = try TrainingRun(name)
    let golden = try #require(run.golden["gradients"])
    let loss = try run.loss(step: 0)
    let gradients = try loss.backward()
    let value: [Float] = try loss.read()
    #expect(abs(Double(value[0]) / (try #require(golden["loss"]?.double)) - 1) < 1e-6)

    let stride = try #require(golden["stride"]?.integer)
    let want = try Goldens.floats("training/" + (try #require(golden["file"]?.string)))
    var position = 0
    for entry in try #require(golden["parameters"]?.array) {
      let tensor = try #require(entry["name"]?.string)
      let count = (try #require(entry["count"]?.integer) + stride - 1) / stride
      defer { position += count }
      let parts = try run.parameters(in: tensor).map { try #require(gradients[$0]).read(as: Float.self) }
      let norm = parts.joined().reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
      #expect(abs(norm / (try #require(entry["norm"]?.double)) - 1) < 1e-5, "\(name): \(tensor)")
      // Fused and transposed weights have their values elsewhere in the file.
      guard try run.isStoredAsHeld(tensor) else { continue }
      let got = Swift.stride(from: 0, to: parts[0].count, by: stride).map { parts[0][$0] }
      #expect(normalizedError(got, want[position..<(position + count)]) < 1e-5, "\(name): \(tensor)")
    }
    #expect(position == want.count)
  }

  @Test("the losses of fifty steps", arguments: names, ["sgd", "adamw"])
  func losses(_ name: String, _ optimizer: String) throws {
    let run = try TrainingRun(name)
    let golden = try #require(run.golden[optimizer])
    var rule = try SmallOptimizer(golden)
    for (step, want) in try #require(golden["losses"]?.array).enumerated() {
      let loss = try run.loss(step: step)
      let gradients = try loss.backward()
      let value: [Float] = try loss.read()
      #expect(abs(Double(value[0]) / (try #require(want.double)) - 1) < 0.005, "\(name), \(optimizer), step \(step)")
      for (_, parameter) in run.model.trainedParameters { rule.step(parameter, try #require(gradients[parameter])) }
    }
  }

  @Test("a detached copy keeps the values it had, builds no graph and gives the trained model's logits")
  func detached() throws {
    let run = try TrainingRun("llama-tiny")
    let before = run.model.detached()
    func logits(_ model: any LanguageModel) throws -> [Float] {
      let result = run.logits(step: 1, of: model)
      #expect(result.isTrainable == (model.trainedParameters.count > 0))
      return try result.read()
    }
    let reference = try logits(run.model)
    #expect(try normalizedError(logits(before), reference) < 1e-6)
    let gradients = try run.loss(step: 0).backward()
    for (_, parameter) in run.model.trainedParameters {
      parameter.value = .trained(try #require(parameter.trained).detached - (try #require(gradients[parameter])) * 0.1)
    }
    #expect(try normalizedError(logits(before), reference) < 1e-6)
    #expect(try normalizedError(logits(run.model), reference) > 1e-3)
  }

  @Test("recomputed layers and a chunked loss change no gradient, and recomputing takes less memory", arguments: names)
  func recomputed(_ name: String) throws {
    var gradients: [[Float]] = []
    var peaks: [Int] = []
    for recomputes in [false, true] {
      let run = try TrainingRun(name)
      let loss = try run.loss(step: 0, recomputesLayers: recomputes)
      peaks.append(run.pool.usage[.activations].byteCount)
      let result = try loss.backward()
      gradients.append(
        try run.model.trainedParameters.flatMap { try #require(result[$0.parameter]).read(as: Float.self) })
    }
    #expect(gradients[0] == gradients[1])
    #expect(peaks[1] < peaks[0] * 2 / 3)
    let run = try TrainingRun(name)
    let stored = try run.storedLoss(step: 0).backward()
    let want = try run.model.trainedParameters.flatMap { try #require(stored[$0.parameter]).read(as: Float.self) }
    #expect(normalizedError(gradients[0], want) < 1e-5)
  }

  @Test(
    "a step without arithmetic takes the memory of a real one", arguments: ["llama-tiny", "mixtral-tiny"],
    [false, true])
  func planned(name: String, recomputes: Bool) throws {
    let run = try TrainingRun(name)
    let shapes = ShapesBackend()
    let plan = try TrainingRun(name, on: shapes)
    _ = try run.loss(step: 0, recomputesLayers: recomputes).backward()
    _ = try plan.loss(step: 0, recomputesLayers: recomputes).backward()
    #expect(shapes.peakBytes[.activations] == run.pool.usage[.activations].peakByteCount)
  }

  @Test("sequences laid end to end do not see each other")
  func isolation() throws {
    let run = try TrainingRun("qwen3-tiny")
    let tokens = (0..<20).map { Int32($0 * 31 % 250 + 4) }
    func hidden(_ tokens: [Int32], _ lengths: [Int]) throws -> [Float] {
      let context = ForwardContext(segments: Segments(lengths: lengths, on: run.backend))
      return try run.model(Tensor(tokens, on: run.backend), context).read()
    }
    let together = try hidden(tokens, [7, 13])
    let alone = try hidden(Array(tokens[7...]), [13])
    #expect(Array(together.suffix(alone.count)) == alone)
  }

  @Test("only the parameters that are asked for get gradients")
  func frozen() throws {
    let run = try TrainingRun("llama-tiny", trains: { $0.hasSuffix("query.weight") || $0.contains("orm") })
    let gradients = try run.loss(step: 0).backward()
    for (path, parameter) in run.model.parameterShapes() {
      #expect((gradients[parameter] != nil) == (path.hasSuffix("query.weight") || path.contains("orm")), "\(path)")
    }
    let all = try TrainingRun("llama-tiny")
    let want = try all.loss(step: 0).backward()
    for (path, parameter) in run.model.trainedParameters {
      let other = try #require(all.model.parameterShapes().first { $0.path == path }).parameter
      let (got, want) = (try #require(gradients[parameter]), try #require(want[other]))
      #expect(try normalizedError(got.read(as: Float.self), want.read(as: Float.self)) < 1e-5, "\(path)")
    }
  }
}

/// A tiny checkpoint with trained parameters and a golden's batches.
struct TrainingRun {
  let golden: JSONValue
  let backend: any Backend
  let pool: PagePool
  let model: any LanguageModel
  private let names: NameTable

  init(_ name: String, on backend: (any Backend)? = nil, trains: (String) -> Bool = { _ in true }) throws {
    golden = try Goldens.json("training/\(name).json")
    pool = try PagePool(budget: 256 << 20)
    let backend = try backend ?? CPUBackend(pool: pool, threadCount: 2)
    self.backend = backend
    let checkpoint = try Checkpoint.open(Goldens.path("models/\(name)"))
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    model.makeTrained(where: trains)
    func table(of model: some LanguageModel) -> NameTable { type(of: model).names(for: model.configuration) }
    names = table(of: model)
    self.model = model
  }

  /// The parameters that a tensor of a Hugging Face file holds: one, or the parts of a fused projection.
  func parameters(in tensor: String) -> [Parameter] { places(in: tensor).map(\.parameter) }

  /// Whether a tensor of a Hugging Face file is one parameter in the same order.
  func isStoredAsHeld(_ tensor: String) throws -> Bool {
    let form = try #require(places(in: tensor).first).form
    return form.shareCount == 1 && !form.isTransposed
  }

  private func places(in tensor: String) -> [(parameter: Parameter, form: StoredForm)] {
    model.parameterShapes().compactMap { path, parameter in
      let place = names.tensor(forParameter: path, in: .huggingFace)
      return place?.name == tensor ? (parameter, place?.form ?? .plain) : nil
    }
  }

  func logits(step: Int, of model: any LanguageModel) -> Tensor {
    model.logits(of: hidden(step, model, recomputesLayers: false))
  }

  /// The mean cross-entropy of a step's batch, by weight.
  func loss(step: Int, recomputesLayers: Bool = false) throws -> Tensor {
    try model.crossEntropy(of: hidden(step, model, recomputesLayers: recomputesLayers), targets(step))
  }

  /// The same from logits that are stored whole.
  func storedLoss(step: Int) throws -> Tensor { try logits(step: step, of: model).crossEntropy(targets(step)) }

  private func hidden(_ step: Int, _ model: any LanguageModel, recomputesLayers: Bool) -> Tensor {
    let lengths = golden["lengths"]?.array?.compactMap(\.integer) ?? []
    var context = ForwardContext(segments: Segments(lengths: lengths, on: backend))
    context.recomputesLayers = recomputesLayers
    return model(Tensor(batch(step)["tokens"]?.tokens ?? [], on: backend), context)
  }

  private func targets(_ step: Int) throws -> PredictionTargets {
    let weights = try #require(batch(step)["weights"]?.array).compactMap(\.double)
    let total = weights.reduce(0, +)
    return PredictionTargets(
      tokens: Tensor(try #require(batch(step)["targets"]?.tokens), on: backend),
      weights: Tensor(weights.map { Float($0 / total) }, on: backend))
  }

  private func batch(_ step: Int) -> JSONValue {
    let batches = golden["batches"]?.array ?? []
    return batches[step % batches.count]
  }
}

/// SGD and AdamW (arXiv:1711.05101) as PyTorch computes them, in plain operations.
struct SmallOptimizer {
  private struct Moments {
    var first: Tensor
    var second: Tensor
    var steps = 0
  }

  private let learningRate: Double
  private let betas: (Double, Double)
  private let epsilon: Double
  private let weightDecay: Double
  private let isAdam: Bool
  private var moments: [ObjectIdentifier: Moments] = [:]

  init(_ golden: JSONValue) throws {
    learningRate = try #require(golden["learningRate"]?.double)
    isAdam = golden["beta1"] != nil
    betas = (golden["beta1"]?.double ?? 0, golden["beta2"]?.double ?? 0)
    epsilon = golden["epsilon"]?.double ?? 0
    weightDecay = golden["weightDecay"]?.double ?? 0
  }

  mutating func step(_ parameter: Parameter, _ gradient: Tensor) {
    guard let value = parameter.trained?.detached else { return }
    guard isAdam else {
      parameter.value = .trained(value - gradient * learningRate)
      return
    }
    let key = ObjectIdentifier(parameter)
    var state = moments[key] ?? Moments(first: gradient * 0, second: gradient * 0)
    state.steps += 1
    state.first = state.first * betas.0 + gradient * (1 - betas.0)
    state.second = state.second * betas.1 + gradient.squared() * (1 - betas.1)
    func correction(_ beta: Double) -> Double { 1 - (0..<state.steps).reduce(1) { power, _ in power * beta } }
    let scale = sqrt(state.second / correction(betas.1)) + epsilon
    let decayed = parameter.shape.rank == 2 ? value * (1 - learningRate * weightDecay) : value
    parameter.value = .trained(decayed - state.first * (learningRate / correction(betas.0)) / scale)
    moments[key] = state
  }
}

import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelTensor
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("Learning a teacher's hidden states") struct HiddenStateTests {
  /// Rows of numbers without a pattern.
  private static func values(_ count: Int, _ factor: Int) -> [Double] {
    (0..<count).map { Double($0 * factor % 17) / 5 - 1.5 }
  }

  /// The distance of one row in float64.
  private static func distance(
    _ kind: HiddenStateConfiguration.Distance, _ x: [Double], _ y: [Double]
  ) -> Double {
    func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    return switch kind {
    case .mse: zip(x, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(x.count)
    case .cosine: 1 - dot(x, y) / (dot(x, x) * dot(y, y)).squareRoot()
    }
  }

  @Test(
    "a distance and its gradients by state and projection are those of the formula in float64",
    arguments: HiddenStateConfiguration.Distance.allCases)
  func gradients(_ kind: HiddenStateConfiguration.Distance) throws {
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 24), threadCount: 1)
    let (rows, inputs, outputs) = (3, 4, 5)
    let x = Self.values(rows * inputs, 7), y = Self.values(rows * outputs, 5), p = Self.values(outputs * inputs, 3)
    let weights = [0.5, 0, 2]
    func loss(_ x: [Double], _ p: [Double]) -> Double {
      (0..<rows).reduce(0) { sum, row in
        let projected = (0..<outputs).map { output in
          (0..<inputs).reduce(0) { $0 + x[row * inputs + $1] * p[output * inputs + $1] }
        }
        return sum + weights[row]
          * Self.distance(kind, projected, Array(y[row * outputs..<(row + 1) * outputs]))
      }
    }
    func slopes(_ values: [Double], _ loss: ([Double]) -> Double) -> [Double] {
      values.indices.map { index in
        let step = 1e-5
        var (up, down) = (values, values)
        up[index] += step
        down[index] -= step
        return (loss(up) - loss(down)) / (2 * step)
      }
    }
    func tensor(_ values: [Double], _ shape: Shape) -> Tensor {
      Tensor(values.map { Float($0) }, shape: shape, on: backend)
    }
    let state = tensor(x, [rows, inputs]).asLeaf()
    let projection = tensor(p, [outputs, inputs]).asLeaf()
    let projected: Tensor = state.matmul(projection, bias: nil)
    let result = HiddenStateMatching.distance(
      kind, projected, tensor(y, [rows, outputs]), weights: Tensor(weights.map { Float($0) }, on: backend))
    #expect(abs(Double(try result.detached.read(as: Float.self)[0]) - loss(x, p)) < 1e-5)
    let gradients = try result.backward()
    for (leaf, want) in [(state, slopes(x) { loss($0, p) }), (projection, slopes(p) { loss(x, $0) })] {
      let got = try #require(gradients[leaf]).read(as: Float.self)
      for (got, want) in zip(got, want) { #expect(abs(Double(got) - want) < 1e-5, "\(kind): \(got), \(want)") }
    }
  }

  @Test("layers are paired as asked for, or the teacher's evenly spaced with the last last")
  func pairs() throws {
    func pairs(_ own: Int, _ teacher: Int, _ layers: [String] = []) throws -> [[Int]] {
      var configuration = HiddenStateConfiguration()
      configuration.layers = layers
      return try configuration.pairs(layerCount: own, teacherLayerCount: teacher).map { [$0.own, $0.teacher] }
    }
    #expect(try pairs(2, 4) == [[0, 1], [1, 3]])
    #expect(try pairs(4, 12) == [[0, 2], [1, 5], [2, 8], [3, 11]])
    #expect(try pairs(3, 3) == [[0, 0], [1, 1], [2, 2]])
    #expect(try pairs(4, 2).last == [3, 1])
    #expect(try pairs(4, 12, ["2:6", "4:12"]) == [[1, 5], [3, 11]])
    #expect(throws: PTMError.self) { try pairs(4, 12, ["5:6"]) }
  }

  /// A teacher of other sizes, its folder, and the recipe of a pupil beside it.
  private func teacher() throws -> (TinyRun, String) {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(
      try run.recipe([
        "tokenizer=byte", "training.steps=40", "architecture.layers=4", "architecture.width=48",
        "output.folder=\(run.folder("t"))",
      ]))
    return (run, try #require(run.finishedPath))
  }

  @Test("a pupil of another width comes nearer to its teacher's layers, stopped and gone on bit for bit")
  func runs() throws {
    let (run, path) = try teacher()
    func recipe(_ folder: String, _ changes: [String] = []) throws -> TrainingRecipe {
      try run.recipe(
        [
          "stage=distill", "distill.teacher=\(path)", "distill.texts=true", "distill.weight=0.5", "tokenizer=\(path)",
          "distill.hidden={weight: 1, distance: mse}", "training.steps=40", "output.folder=\(run.folder(folder))",
        ] + changes)
    }
    let pupil = TinyRun(run.folder)
    try pupil.execute(try recipe("pupil"))
    #expect(pupil.losses[39] < 0.8 * pupil.losses[0], "\(pupil.losses[0]) to \(pupil.losses[39])")
    // What brings widths together is learnt too: two matrices of [48, 32]; the model that is written has none.
    let plan = try #require(pupil.plan)
    #expect(plan.trainedParameterCount == plan.parameterCount + 2 * 48 * 32)
    let names = try SafetensorsFile(path: run.folder("pupil/model/model.safetensors")).header.tensors.map(\.name)
    #expect(!names.contains { $0.contains("project") })
    let stopped = TinyRun(run.folder)
    #expect(throws: Interrupted.self) { try stopped.execute(try recipe("again"), stopsAfter: 17) }
    try stopped.execute(try recipe("again"), resumes: true)
    let weights = try ["pupil", "again"].map { try TemporaryFolder.read(run.folder("\($0)/model/model.safetensors")) }
    #expect(weights[0] == weights[1])

    let written = String(decoding: try TemporaryFolder.read(run.folder("again/resolved.yaml")), as: UTF8.self)
    #expect(try run.recipe(text: written) == recipe("again"))

    let layersAlone = TinyRun(run.folder)
    try layersAlone.execute(
      try recipe(
        "cosine",
        ["distill.weight=1", "distill.hidden={weight: 2, distance: cosine, layers: [2:4]}", "training.recompute=true"]))
    #expect(layersAlone.losses[39] < 0.8 * layersAlone.losses[0])
    #expect(try #require(layersAlone.plan).trainedParameterCount == plan.parameterCount + 48 * 32)
  }

  @Test("a model that is its own teacher has nothing to learn of its layers", arguments: ["mse", "cosine"])
  func own(_ distance: String) throws {
    let (run, path) = try teacher()
    let own = TinyRun(run.folder)
    try own.execute(
      try own.recipe([
        "stage=distill", "distill.teacher=\(path)", "distill.weight=1", "distill.texts=true", "architecture=null",
        "tokenizer=null", "model=\(path)", "training.steps=2", "optimizer.learning_rate=0",
        "distill.hidden={distance: \(distance)}", "output.folder=\(run.folder("own"))",
      ]))
    #expect(own.losses.allSatisfy { abs($0) < 1e-5 }, "\(own.losses)")
    // Widths are equal: nothing is learnt beside the model.
    #expect(own.plan.map { $0.trainedParameterCount == $0.parameterCount } == true)
  }

  @Test("pairs that are none, and layers that do not exist, are refused by name")
  func refusals() throws {
    let (run, path) = try teacher()
    func recipe(_ layers: String) throws -> TrainingRecipe {
      try run.recipe([
        "stage=distill", "distill.teacher=\(path)", "distill.texts=true", "tokenizer=\(path)",
        "distill.hidden={layers: [\(layers)]}", "output.folder=\(run.folder("x"))",
      ])
    }
    let words = #expect(throws: ConfigurationError.self) { try recipe("last") }
    #expect(
      words?.problems.first
        == "distill.hidden.layers has 'last': write the model's layer and the teacher's, such as 3:6")
    let absent = #expect(throws: PTMError.self) { try TinyRun(run.folder).execute(try recipe("3:4")) }
    #expect(
      absent?.description == "distill.hidden.layers has 3:4, but the model has 2 layers and the teacher 4")
  }
}

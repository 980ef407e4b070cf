import AngelCPU
import AngelCore
import AngelMemory
import AngelModels
import AngelTesting
import Testing

@testable import AngelPTM

/// Processes that share layers out learn what one process learns, to rounding: sums over inner features and over rows are in parts.
@Suite("Tensor parallelism") struct TensorParallelTests {
  /// What the losses of ten steps may differ by, of themselves: float32 sums of a few hundred terms in another order.
  private static let bound = 1e-5

  private func alone(_ model: String, _ changes: [String] = []) throws -> TinyRun {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try DataParallelTests.recipe(model, run, changes))
    return run
  }

  private func together(
    _ model: String, _ changes: [String], processes: Int, tensor: Int, in folder: TemporaryFolder? = nil,
    resumes: Bool = false, stopsAfter: Int? = nil
  ) throws -> (run: MeshRun, folder: TemporaryFolder) {
    let folder = try folder ?? TemporaryFolder()
    let run = try MeshRun(
      folder, changes, processes: processes, tensor: tensor, resumes: resumes, stopsAfter: stopsAfter
    ) { try DataParallelTests.recipe(model, $0, $1) }
    return (run, folder)
  }

  private func expectClose(_ a: [Double], _ b: [Double], count: Int) {
    #expect(a.count == count && b.count == count)
    for (a, b) in zip(a, b) { #expect(abs(a - b) < Self.bound * abs(b), "\(a) and \(b)") }
  }

  @Test("two processes that share out every layer give the losses of one", arguments: DataParallelTests.models)
  func losses(_ model: String) throws {
    let one = try alone(model)
    let (two, _) = try together(model, [], processes: 2, tensor: 2)
    expectClose(two.losses, one.losses, count: 10)
    // Those of the model that was put together.
    expectClose(two.validations, one.validations, count: one.validations.count)
  }

  @Test(
    "so do other families, with biases, learned positions or norms of heads, and rows that do not divide",
    arguments: ["gpt2", "qwen3"])
  func families(_ family: String) throws {
    let changes = ["architecture.family=\(family)", "sequence_length=33", "batch_size=1"]
    let one = try alone("llama", changes)
    let (two, _) = try together("llama", changes, processes: 2, tensor: 2)
    expectClose(two.losses, one.losses, count: 10)
  }

  @Test("so does a pass of a single row, of which one process has none")
  func fewerRowsThanProcesses() throws {
    let changes = ["sequence_length=1", "batch_size=1"]
    let one = try alone("llama", changes)
    let (two, _) = try together("llama", changes, processes: 2, tensor: 2)
    expectClose(two.losses, one.losses, count: 10)
  }

  @Test("and one whose output head is capped")
  func fewerRowsUnderACap() throws {
    let changes = ["sequence_length=1", "batch_size=1", "training.steps=4"]
    let one = TinyRun(try TemporaryFolder())
    try one.execute(try Self.recipe(of: "gemma2", one, changes))
    let two = try MeshRun(TemporaryFolder(), changes, processes: 2, tensor: 2) {
      try Self.recipe(of: "gemma2", $0, $1)
    }
    expectClose(two.losses, one.losses, count: 4)
  }

  /// Gemma 3's plain golden model has a single key-value head, the other one no tokenizer: here it gets one of characters.
  private static func gemma(in folder: TemporaryFolder) throws -> String {
    for file in ["config.json", "model.safetensors"] {
      try folder.link(Goldens.path("models/gemma3_text-tiny-scaled/\(file)"), as: file)
    }
    let characters = Set(TinyRun.text).sorted().enumerated().map { (String($1), JSONValue.integer($0)) }
    let tokenizer: JSONValue = [
      "version": "1.0", "added_tokens": [], "normalizer": .null, "pre_tokenizer": .null, "post_processor": .null,
      "decoder": .null, "model": ["type": "BPE", "vocab": .object(JSONObject(characters)), "merges": []],
    ]
    try folder.write(tokenizer.encoded().utf8, to: "tokenizer.json")
    return folder.path
  }

  /// Two steps from the family's golden model.
  private static func recipe(of family: String, _ run: TinyRun, _ changes: [String]) throws -> TrainingRecipe {
    let data = try run.folder.write(TinyRun.text.utf8, to: "data.txt")
    let model = try family == "gemma3_text" ? gemma(in: run.folder) : Goldens.path("models/\(family)-tiny")
    return try run.recipe(
      text: """
        stage: pretrain
        model: \(model)
        precision: f32
        data: {train: [\(data)]}
        sequence_length: 32
        batch_size: 2
        training: {steps: 2}
        output: {folder: \(run.folder("run"))}
        """, changes)
  }

  @Test(
    "every family whose plan says how gives the losses of one process",
    arguments: ModelCatalog.languageModels.keys.sorted())
  func everyFamily(_ family: String) throws {
    let folder = try TemporaryFolder()
    func together() throws -> MeshRun {
      try MeshRun(folder, [], processes: 2, tensor: 2) { try Self.recipe(of: family, $0, $1) }
    }
    if family == "olmo2" {
      let error = #expect(throws: PTMError.self) { _ = try together() }
      #expect(error?.description.contains("of this family cannot be shared out yet") == true)
      return
    }
    let one = TinyRun(try TemporaryFolder())
    try one.execute(try Self.recipe(of: family, one, []))
    // The second comes after an update, which needs gradients.
    expectClose(try together().losses, one.losses, count: 2)
  }

  @Test(
    "in bfloat16, where parts are rounded before they are summed, losses differ by less than a fiftieth",
    arguments: DataParallelTests.models)
  func halves(_ model: String) throws {
    let changes = ["precision=bf16"]
    let one = try alone(model, changes)
    let (two, _) = try together(model, changes, processes: 2, tensor: 2)
    #expect(two.losses.count == 10)
    for (step, (a, b)) in zip(two.losses, one.losses).enumerated() {
      #expect(abs(a - b) < (step == 0 ? 2e-3 : 2e-2) * b, "\(a) and \(b) in step \(step)")
    }
  }

  @Test(
    "pairs that read other rows give the bits of one pair that accumulates, whatever is shared out", arguments: 0...3)
  func rowsAndLayers(_ zero: Int) throws {
    let changes = ["training.accumulation=2", "training.steps=4"]
    let (pair, one) = try together("mixtral", changes, processes: 2, tensor: 2)
    let (pairs, many) = try together("mixtral", changes + ["mesh.zero=\(zero)"], processes: 4, tensor: 2)
    #expect(pairs.losses == pair.losses && pairs.losses.count == 4)
    #expect(try TinyRun(many).weights() == TinyRun(one).weights())
  }

  @Test(
    "a checkpoint of any layout goes on in any other",
    arguments: [(2, 2, 1, 1), (1, 1, 2, 2), (4, 2, 2, 2), (2, 1, 4, 2)])
  func checkpoints(_ before: Int, _ tensorBefore: Int, _ after: Int, _ tensorAfter: Int) throws {
    let changes = ["training.accumulation=2"]
    func shares(_ processes: Int, _ tensor: Int) -> [String] { changes + (processes > tensor ? ["mesh.zero=3"] : []) }
    let one = try alone("llama", changes)
    let (first, folder) = try together(
      "llama", shares(before, tensorBefore), processes: before, tensor: tensorBefore, stopsAfter: 5)
    #expect(first.isInterrupted)
    let (second, _) = try together(
      "llama", shares(after, tensorAfter), processes: after, tensor: tensorAfter, in: folder, resumes: true)
    expectClose(first.losses + second.losses, one.losses, count: 10)
  }

  @Test(
    "every layout sends the bytes of the formula",
    arguments: DataParallelTests.models, [(2, "f32", 0), (4, "f32", 1), (4, "bf16", 3)])
  func traffic(_ model: String, _ layout: (processes: Int, precision: String, zero: Int)) throws {
    let changes = [
      "training.accumulation=\(layout.processes / 2)", "training.steps=2", "precision=\(layout.precision)",
      "mesh.zero=\(layout.zero)",
    ]
    let (many, _) = try together(model, changes, processes: layout.processes, tensor: 2)
    let run = TinyRun(try TemporaryFolder())
    let recipe = try DataParallelTests.recipe(
      model, run, changes + ["mesh.data=\(layout.processes / 2)", "mesh.tensor=2"])
    let trained = try run.preparation(recipe).makeModel(on: CPUBackend(pool: PagePool(budget: 1 << 28)))
    #expect(many.sentBytes == 2 * StepTraffic(of: trained, recipe.mesh, passRows: 4 * 32).byteCount)
  }

  @Test("a process holds half of what layers are made of, and half of their optimizer's states")
  func memory() throws {
    let changes = ["training.steps=2", "architecture.width=256", "architecture.inner=512"]
    let one = try #require(try alone("llama", changes).stepUsage)
    let two = try #require(try together("llama", changes, processes: 2, tensor: 2).run.stepUsage)
    // The embedding, of 257 rows, stays whole.
    let whole = 4 * 257 * 256
    let layers = one[.weights].byteCount - whole
    #expect(Double(two[.weights].byteCount - whole) < 0.52 * Double(layers))
    #expect(
      Double(two[.optimizerStates].byteCount - 2 * whole) < 0.52 * Double(one[.optimizerStates].byteCount - 2 * whole))
  }

  @Test("what does not divide is refused, and what cannot be shared out yet, with a word of what to do")
  func refused() throws {
    for (changes, words) in [
      (["architecture.heads=3"], "does not divide the model's 3 key-value heads"),
      (["architecture.inner=191"], "does not divide the 191 outputs of blocks.0.feedForward.gate.weight"),
    ] {
      let error = #expect(throws: PTMError.self) { _ = try together("llama", changes, processes: 2, tensor: 2) }
      #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }
    let recipe = try DataParallelTests.recipe("llama", TinyRun(TemporaryFolder()), [])
    var shared = recipe
    shared.mesh.tensor = 2
    shared.optimizer.rule = .muon
    #expect(recipe.problems() == [])
    #expect(shared.problems() == ["mesh.tensor is 2, but muon has to see whole matrices: use adamw, lion or sgd"])
  }
}

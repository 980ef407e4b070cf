import AngelCPU
import AngelCore
import AngelMemory
import AngelTesting
import Testing

@testable import AngelPTM

/// Several processes learn what one process learns.
@Suite("Data parallelism") struct DataParallelTests {
  static let models = ["llama", "mixtral"]

  /// Of a Llama that is begun from nothing or a Mixtral with experts, in which a few parameters are larger than a block of squares.
  @Sendable static func recipe(_ model: String, _ run: TinyRun, _ changes: [String]) throws -> TrainingRecipe {
    let data = try run.folder.write(TinyRun.text.utf8, to: "data.txt")
    let begin =
      model == "llama"
      ? "tokenizer: byte\narchitecture: {family: llama, layers: 2, width: 96, heads: 2, inner: 192}"
      : "model: \(Goldens.path("models/mixtral-tiny"))\nexperts: {balance: 0.01, z: 0.001}"
    return try run.recipe(
      text: """
        stage: pretrain
        \(begin)
        precision: f32
        data: {train: [\(data)], validation_ratio: 0.1}
        sequence_length: 32
        batch_size: 4
        optimizer: {learning_rate: 0.01}
        schedule: {warmup: 2}
        training: {steps: 10}
        output: {folder: \(run.folder("run")), validate_every: 5}
        seed: 3
        """, changes)
  }

  private func alone(_ model: String, _ changes: [String]) throws -> (run: TinyRun, weights: [UInt8]) {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try Self.recipe(model, run, changes))
    return (run, try run.weights())
  }

  private func together(
    _ model: String, _ changes: [String], processes: Int
  ) throws -> (run: MeshRun, weights: [UInt8]) {
    let folder = try TemporaryFolder()
    let run = try MeshRun(folder, changes, processes: processes) { try Self.recipe(model, $0, $1) }
    return (run, try TinyRun(folder).weights())
  }

  @Test(
    "two processes with a batch each give the bits of one that accumulates two, whatever is shared out",
    arguments: models, 0...3)
  func bits(_ model: String, _ zero: Int) throws {
    let changes = ["training.accumulation=2"]
    let (one, weights) = try alone(model, changes)
    let (two, parted) = try together(model, changes + ["mesh.zero=\(zero)"], processes: 2)
    #expect(two.losses == one.losses && two.losses.count == 10)
    #expect(two.validations == one.validations)
    #expect(parted == weights)
  }

  @Test("where gradients are shared out, any number of batches a process gives these bits", arguments: 2...3)
  func accumulatedBits(_ zero: Int) throws {
    let changes = ["training.accumulation=6", "batch_size=1", "training.steps=4"]
    let (one, weights) = try alone("llama", changes)
    let (three, parted) = try together("llama", changes + ["mesh.zero=\(zero)"], processes: 3)
    #expect(three.losses == one.losses && parted == weights)
  }

  @Test("in bfloat16, too", arguments: 0...3)
  func halves(_ zero: Int) throws {
    let changes = ["training.accumulation=2", "precision=bf16", "training.steps=4"]
    let (one, weights) = try alone("llama", changes)
    let (two, parted) = try together("llama", changes + ["mesh.zero=\(zero)"], processes: 2)
    #expect(two.losses == one.losses && parted == weights)
  }

  @Test(
    "every optimizer gives its bits on shares, as does the average of the weights",
    arguments: ["adamw8", "muon", "lion", "adafactor", "sgd"], [1, 3])
  func optimizers(_ rule: String, _ zero: Int) throws {
    let changes = [
      "training.accumulation=2", "training.steps=4", "optimizer.rule=\(rule)", "optimizer.ema=0.9",
      "optimizer.learning_rate=0.002",
    ]
    let (one, weights) = try alone("llama", changes)
    let folder = try TemporaryFolder()
    let two = try MeshRun(folder, changes + ["mesh.zero=\(zero)"], processes: 2) { try Self.recipe("llama", $0, $1) }
    #expect(two.losses == one.losses)
    #expect(try TinyRun(folder).weights() == weights)
    let average = "run/model-average/model.safetensors"
    #expect(try TemporaryFolder.read(folder(average)) == TemporaryFolder.read(one.folder(average)))
  }

  @Test("a batch that is cut between processes gives the loss of the whole to a millionth", arguments: [2, 3, 7])
  func cut(_ processes: Int) throws {
    // Of seven processes three have no sequence of their own.
    let (one, _) = try alone("llama", [])
    let (many, _) = try together("llama", ["mesh.zero=2"], processes: processes)
    for (a, b) in zip(one.losses, many.losses) { #expect(abs(a - b) < 1e-6 * a, "\(a) and \(b)") }
    #expect(many.losses.count == 10)
  }

  @Test("buckets of any size give the same bits", arguments: ["0", "0.01", "0.1"])
  func buckets(_ size: String) throws {
    let changes = ["training.accumulation=2", "training.steps=3"]
    let (_, weights) = try alone("llama", changes)
    for zero in [0, 2] {
      let (_, parted) = try together("llama", changes + ["mesh.bucket=\(size)", "mesh.zero=\(zero)"], processes: 2)
      #expect(parted == weights)
    }
  }

  @Test("a checkpoint that any layout wrote goes on in any other, to the bits of one process that never stopped")
  func checkpoints() throws {
    let changes = ["training.accumulation=2"]
    let (_, weights) = try alone("llama", changes)
    let layouts = [(1, 0), (2, 0), (2, 1), (2, 2), (2, 3)]
    for (index, (before, zero)) in layouts.enumerated() {
      let (after, next) = layouts[(index + 2) % layouts.count]
      let folder = try TemporaryFolder()
      func settings(_ processes: Int, _ zero: Int) -> [String] {
        changes + (processes > 1 ? ["mesh.zero=\(zero)"] : [])
      }
      let first = try MeshRun(folder, settings(before, zero), processes: before, stopsAfter: 5) {
        try Self.recipe("llama", $0, $1)
      }
      #expect(first.isInterrupted && first.losses.count == 5)
      let second = try MeshRun(folder, settings(after, next), processes: after, resumes: true) {
        try Self.recipe("llama", $0, $1)
      }
      #expect(second.losses.count == 5)
      #expect(
        try TinyRun(folder).weights() == weights, "from \(before) processes, zero \(zero), to \(after), zero \(next)")
    }
  }

  @Test("a checkpoint is the same file whoever writes it", arguments: 1...3)
  func checkpointFiles(_ zero: Int) throws {
    let changes = ["training.accumulation=2", "training.steps=2"]
    let (one, _) = try alone("llama", changes)
    let folder = try TemporaryFolder()
    _ = try MeshRun(folder, changes + ["mesh.zero=\(zero)"], processes: 2) { try Self.recipe("llama", $0, $1) }
    let path = "run/checkpoints/step-00000002/"
    let tensors = path + "model.safetensors"
    #expect(try TemporaryFolder.read(folder(tensors)) == TemporaryFolder.read(one.folder(tensors)))
    // Recipes differ in their folders.
    func digests(_ folder: TemporaryFolder) throws -> JSONValue? {
      try JSONValue(parsing: TemporaryFolder.read(folder(path + "state.json")))["tensors"]
    }
    #expect(try digests(folder) == digests(one.folder))
  }

  @Test("each level lets a process hold less: states, then gradients, then parameters")
  func memory() throws {
    let changes = ["training.accumulation=2", "training.steps=2", "architecture.width=256", "architecture.inner=512"]
    let (one, _) = try alone("llama", changes)
    let (peak, held) = (try #require(one.usage), try #require(one.stepUsage))
    func share(_ zero: Int, _ more: [String] = []) throws -> MeshRun {
      try together("llama", changes + ["mesh.zero=\(zero)", "mesh.bucket=0"] + more, processes: 2).run
    }
    let states = try share(1)
    let statesInAll = states.usages.reduce(0) { $0 + $1[.optimizerStates].peakByteCount }
    #expect(statesInAll == peak[.optimizerStates].peakByteCount)
    for usage in states.usages {
      #expect(Double(usage[.optimizerStates].peakByteCount) < 0.55 * Double(peak[.optimizerStates].peakByteCount))
    }
    // Of two batches a process, the first one's whole gradients do not wait for the second's.
    let batches = ["training.accumulation=4"]
    for (shared, whole) in zip(try share(2, batches).usages, try share(1, batches).usages) {
      let less = whole[.activations].peakByteCount - shared[.activations].peakByteCount
      #expect(2 * less > held[.weights].byteCount, "\(less) bytes less of \(held[.weights].byteCount)")
    }
    // At the beginning each process has all values for a moment; what counts is what stays.
    let parameters = try #require(try share(3).stepUsage)
    #expect(Double(parameters[.weights].byteCount) < 0.55 * Double(held[.weights].byteCount))
    #expect(Double(parameters[.optimizerStates].byteCount) < 0.55 * Double(held[.optimizerStates].byteCount))
  }

  @Test("what comes ahead of its use takes the memory of two buckets, or of the largest parameter")
  func memoryAhead() throws {
    let changes = ["training.accumulation=2", "training.steps=2", "mesh.zero=3"]
    func peaks(_ bucket: String) throws -> [Int] {
      try together("llama", changes + ["mesh.bucket=\(bucket)"], processes: 2).run.usages.map {
        $0[.workspace].peakByteCount
      }
    }
    // The largest is of 256 x 96 values; regions are rounded up.
    let (one, largest) = (try peaks("0"), 4 * 256 * 96)
    for (more, less) in zip(try peaks("0.1"), one) { #expect(more - less <= max(209_715, largest) + 65_536) }
    for bytes in one { #expect(bytes > 0) }
  }

  @Test("every layout sends the bytes of the formula", arguments: models, 0...3)
  func traffic(_ model: String, _ zero: Int) throws {
    for precision in ["f32", "bf16"] {
      let changes = ["training.accumulation=3", "training.steps=2", "precision=\(precision)", "mesh.zero=\(zero)"]
      let (three, _) = try together(model, changes, processes: 3)
      let run = TinyRun(try TemporaryFolder())
      let recipe = try Self.recipe(model, run, changes + ["mesh.data=3"])
      let trained = try run.preparation(recipe).makeModel(on: CPUBackend(pool: PagePool(budget: 1 << 28)))
      #expect(three.sentBytes == 2 * StepTraffic(of: trained, recipe.mesh, passRows: 0).byteCount)
    }
  }

  @Test(
    "with too little memory a run of any layout ends in the pool's words, wherever it was",
    arguments: [(0, 1), (2, 1), (3, 1), (0, 2)])
  func exhaustion(_ zero: Int, _ tensor: Int) throws {
    // Two steps, a checkpoint and a validation.
    let changes = ["mesh.zero=\(zero)", "training.steps=2", "output.validate_every=1", "sequence_length=64"]
    var (failures, isDone) = (0, false)
    for pages in 2...24 where !isDone {
      do {
        _ = try MeshRun(
          TemporaryFolder(), changes, processes: 2, tensor: tensor, budget: pages * Page.byteCount)
        isDone = true
      } catch {
        #expect("\(error)".contains(" wanted, "), "\(pages) pages: \(error)")
        failures += 1
      }
    }
    #expect(isDone && failures > 2)
  }

  @Test("a mesh of more processes than were launched is refused with the words that start them")
  func tooFew() throws {
    let run = TinyRun(try TemporaryFolder())
    let error = #expect(throws: PTMError.self) { try run.execute(try run.recipe(["mesh.data=4"])) }
    #expect(error?.description.contains("for 4 processes, and 1 were launched: start as many (mpirun -n 4") == true)
  }
}

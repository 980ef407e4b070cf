import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelDistributed
import AngelMemory
import AngelTesting

@testable import AngelPTM

/// A tiny run in a temporary folder, and what happened in it.
final class TinyRun {
  let folder: TemporaryFolder
  /// Of its pool, in bytes.
  var budget = 1 << 30
  private(set) var losses: [Double] = []
  private(set) var validations: [Double] = []
  private(set) var samples: [String] = []
  /// Losses of validation files, where there are several.
  private(set) var tasks: [String: [Double]] = [:]
  private(set) var finishedPath: String?
  private(set) var plan: RunPlan?
  private(set) var statistics: TrainingData.Statistics?
  /// What the pages held when the run had ended, and at most.
  private(set) var usage: MemoryUsage?
  /// What they held after the last step that was reported.
  private(set) var stepUsage: MemoryUsage?

  static let text = (0..<40).map { "line \($0): to be or not to be, that is question number \($0 * 7 % 13)\n" }.joined()

  init(_ folder: TemporaryFolder) { self.folder = folder }

  /// The recipe of a small character model.
  func recipe(_ changes: [String] = []) throws -> TrainingRecipe {
    let data = try folder.write(Self.text.utf8, to: "data.txt")
    let text = """
      stage: pretrain
      tokenizer: character
      precision: f32
      architecture: {family: llama, layers: 2, width: 32, heads: 2, inner: 64}
      data: {train: [\(data)], validation_ratio: 0.1}
      sequence_length: 32
      batch_size: 4
      optimizer: {learning_rate: 0.01}
      schedule: {warmup: 2}
      training: {steps: 10}
      output: {folder: \(folder("run")), validate_every: 5}
      seed: 3
      """
    return try recipe(text: text, changes)
  }

  /// A recipe in this folder from text, with changes laid over it.
  func recipe(text: String, _ changes: [String] = []) throws -> TrainingRecipe {
    let node = try changes.reduce(
      try RecipeParser.parse(Array(text.utf8)) { .file(path: "r.yaml", line: $0, column: $1) }
    ) { try $0.overlaid(with: $1) }
    return try TrainingRecipe(recipe: node)
  }

  /// Runs `recipe`; `stopsAfter` interrupts it once that many steps are done.
  func execute(
    _ recipe: TrainingRecipe, resumes: Bool = false, threads: Int = 1, stopsAfter: Int? = nil, mesh: DeviceMesh? = nil,
    openModel: @escaping (String) throws -> Checkpoint = { try Checkpoint.open($0) }
  ) throws {
    let interruption = Interruption()
    let pool = try PagePool(budget: budget)
    defer { usage = pool.usage }
    var surroundings = TrainingRun.Surroundings(
      backend: try CPUBackend(pool: pool, threadCount: threads), progress: .silent,
      interruption: interruption, openModel: openModel,
      sample: { _, encoding, prompt, _ in
        try encoding.tokenizer.decode(prompt, skippingSpecialTokens: false) + "…"
      },
      report: { event in
        switch event {
        case .step(let record, _):
          self.losses.append(record.loss)
          self.stepUsage = pool.usage
          if record.step == stopsAfter { interruption.request() }
        case .validation(_, let loss): self.validations.append(loss)
        case .sample(_, _, let text): self.samples.append(text)
        case .finished(let path): self.finishedPath = path
        case .plan(let plan, let statistics): (self.plan, self.statistics) = (plan, statistics)
        case .task(_, let name, let loss): self.tasks[name, default: []].append(loss)
        case .resumed, .checkpoint: break
        }
      })
    surroundings.mesh = mesh
    try TrainingRun(recipe, surroundings).execute(resumes: resumes)
  }

  /// What the recipe begins from.
  func preparation(_ recipe: TrainingRecipe) throws -> Preparation {
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 28), threadCount: 1)
    return try Preparation(
      recipe,
      TrainingRun.Surroundings(
        backend: backend, progress: .silent, interruption: Interruption(), openModel: { try Checkpoint.open($0) },
        sample: nil, report: { _ in }))
  }

  /// The bytes of the weights that the run wrote at its end.
  func weights() throws -> [UInt8] { try TemporaryFolder.read(folder("run/model/model.safetensors")) }
}

extension [UInt8] {
  /// Whether the bytes have `text` in them.
  func contains(_ text: String) -> Bool { String(decoding: self, as: UTF8.self).contains(text) }
}

/// What the files of a checkpoint hold.
enum SafetensorsSizes {
  /// The bytes of all tensors whose names begin with `prefix`.
  static func bytes(in folder: String, prefix: String) throws -> Int {
    try FilePath.names(in: folder).filter { $0.hasSuffix(".safetensors") }.reduce(0) { total, name in
      let tensors = try SafetensorsFile(path: FilePath.join(folder, name)).header.tensors
      return tensors.filter { $0.name.hasPrefix(prefix) }.reduce(total) { $0 + $1.byteRange.count }
    }
  }
}

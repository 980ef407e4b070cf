import AngelCheckpoint
import AngelCore
public import AngelData
import AngelTensor
public import AngelText
import Glibc

/// Looks at a recipe, its model and its data before a run: the mistakes that a loss does not show.
///
/// The work is bounded: at most 256 rows are encoded, spread over the first gigabyte of each file, and the model takes
/// a few steps on four short ones.
public struct Doctor {
  private let recipe: TrainingRecipe
  private let surroundings: TrainingRun.Surroundings
  private let memoryBudget: Int
  private let preparation: Preparation
  private let rows: DoctorRows

  /// Reads rows and the model's outline.
  ///
  /// - Parameter memoryBudget: bytes that the run may use.
  public init(_ recipe: TrainingRecipe, _ surroundings: TrainingRun.Surroundings, memoryBudget: Int) throws {
    self.recipe = recipe
    self.surroundings = surroundings
    self.memoryBudget = memoryBudget
    preparation = try Preparation(recipe, surroundings)
    rows = try DoctorRows(recipe, preparation.encoding, interruption: surroundings.interruption)
  }

  public var tokenizer: Tokenizer { preparation.encoding.tokenizer }

  /// The first rows as they are learnt: cut to the sequence length, each token with its weight.
  public func examples(_ count: Int = 2) -> [TokenSample] {
    rows.samples.prefix(count).map { sample in
      var shown = sample
      shown.truncate(to: recipe.sequenceLength + 1)
      return shown
    }
  }

  /// Carries every check out and reports each finding as it is made.
  ///
  /// - Returns: all findings, in the order of the checks.
  public func examine(_ report: (DoctorFinding) throws -> Void) throws -> [DoctorFinding] {
    var findings: [DoctorFinding] = []
    func carryOut(_ checks: [any DoctorCheck]) throws {
      for check in checks {
        try surroundings.interruption.check()
        let finding = check.finding()
        findings.append(finding)
        try report(finding)
      }
    }
    let plan = try plan()
    try carryOut(dataChecks() + [MemoryCheck(plan: plan, budget: memoryBudget)])
    guard !findings.contains(where: { $0.check == VocabularyCheck.name && $0.outcome == .failed }) else {
      return findings
    }
    let folder = FilePath.join(recipe.output.folder, ".doctor-\(plan.parameterCount).partial")
    let isNew = FilePath.kind(recipe.output.folder) == nil
    // What a doctor that was killed has left there is not this one's.
    try? FileOperations.remove(folder)
    defer {
      try? FileOperations.remove(folder)
      // Only while it is empty: a run may have begun there meanwhile.
      if isNew { rmdir(recipe.output.folder) }
    }
    try carryOut(modelChecks(folder))
    return findings
  }

  /// What the run would take: the largest batch there can be, by shapes alone.
  private func plan() throws -> RunPlan {
    let shapes = ShapesBackend(readsZeros: true)
    let limit = LargestBatches(rowLimit: recipe.batchSize * recipe.sequenceLength)
    return try RunPlan(
      recipe, preparation.makeModel(on: shapes), limit, preparation.makeDistillation(on: shapes), on: shapes)
  }

  private func dataChecks() -> [any DoctorCheck] {
    let encoding = preparation.encoding
    let vocabulary = VocabularyCheck(
      samples: rows.samples, vocabularySize: preparation.vocabularySize,
      tokenizerSize: encoding.tokenizer.vocabularySize)
    guard !recipe.rowsAreTexts else { return [vocabulary] }
    return [
      vocabulary,
      LengthCheck(samples: rows.samples, sequenceLength: recipe.sequenceLength, refusal: rows.refusal),
      StopTokenCheck(samples: rows.samples, endTokens: encoding.endTokens) { token in
        (try? encoding.tokenizer.decode([token], skippingSpecialTokens: false)) ?? "\(token)"
      },
    ]
  }

  private func modelChecks(_ folder: String) -> [any DoctorCheck] {
    let few = rows.few(length: min(96, recipe.sequenceLength))
    guard !few.isEmpty else { return [] }
    let model = DoctorModel(recipe, preparation, few, folder: folder, on: surroundings.backend)
    return [
      AccumulationCheck(samples: few, step: model.step),
      PackingCheck(samples: few, rowLosses: model.rowLosses),
      GradientCheck(norms: model.gradientNorms, trainsAdapters: preparation.lora != nil),
      ResumeCheck(straight: model.straight, resumed: model.resumed),
      BalanceCheck(loads: model.expertLoads, reason: "the model has no experts"),
      MergeCheck(logits: preparation.lora == nil ? nil : model.mergeLogits),
    ]
  }
}

/// Batches of which only the size counts.
private struct LargestBatches: BatchSource {
  let rowLimit: Int
  var batchesPerEpoch: Int { 1 }
  func batch(_ index: Int) throws -> TokenBatch { TokenBatch() }
}

import AngelCPU
import AngelCore
import AngelData
import AngelMemory
import AngelNN
import AngelTensor
import AngelTesting
import Testing

@testable import AngelPTM

/// Each of the doctor's checks finds the mistake it is there for, planted through what it is given, and leaves a sound
/// one alone.
@Suite("The doctor's checks") struct DoctorCheckTests {
  /// A row of which the last `trained` tokens are learnt.
  private func sample(_ tokens: [Int32], trained: Int) -> TokenSample {
    var sample = TokenSample(Array(tokens.dropLast(trained)), weight: 0)
    sample.append(Array(tokens.suffix(trained)), weight: 1)
    return sample
  }

  private func expect(_ finding: DoctorFinding, _ outcome: DoctorFinding.Outcome, _ text: String = "") {
    #expect(finding.outcome == outcome && finding.value.contains(text), "\(finding)")
    #expect((finding.remedy != nil) == (outcome == .warning || outcome == .failed))
  }

  @Test("tokens beyond the embedding are found, and a tokenizer that knows more")
  func vocabulary() {
    func check(_ highest: Int32, _ known: Int = 10) -> DoctorFinding {
      VocabularyCheck(samples: [TokenSample([1, highest])], vocabularySize: 10, tokenizerSize: known).finding()
    }
    expect(check(9), .passed, "tokens 1 to 9 of 10 rows")
    expect(check(10), .failed, "tokens 1 to 10")
    expect(check(9, 12), .warning, "the tokenizer knows 12")
  }

  @Test("end tokens without weight, without place, and in some rows only are found")
  func stopToken() {
    func check(_ samples: [TokenSample], _ ends: Set<Int32> = [7]) -> DoctorFinding {
      StopTokenCheck(samples: samples, endTokens: ends) { "<\($0)>" }.finding()
    }
    let sound = sample([1, 2, 3, 7], trained: 2)
    var masked = sample([1, 2, 3], trained: 1)
    masked.append([7], weight: 0)
    let missing = sample([1, 2, 3, 4], trained: 2)
    expect(check([sound, sound]), .passed, "2 of 2 rows")
    expect(check([masked, masked]), .failed, "it is written but has no weight")
    expect(check([missing]), .failed, "the chat template writes none")
    expect(check([sound, missing]), .warning, "1 of 2 rows end with a trained one of '<7>'")
    expect(check([sound], []), .failed, "names no token")
  }

  @Test("rows that are too long or refused are counted")
  func lengths() {
    func check(_ samples: [TokenSample], refusal: (message: String, count: Int)? = nil) -> DoctorFinding {
      LengthCheck(samples: samples, sequenceLength: 4, refusal: refusal).finding()
    }
    let short = sample([1, 2, 3, 4], trained: 2)
    let long = sample([1, 2, 3, 4, 5, 6, 7, 8], trained: 5)
    let hopeless = sample([1, 2, 3, 4, 5, 6, 7, 8], trained: 2)
    expect(check([short, short]), .passed, "none is cut")
    expect(check([short, long]), .warning, "1 are cut at 4, 0 have nothing left to learn, 42.9 % of the trained")
    expect(check([hopeless, hopeless, short]), .failed, "2 have nothing left")
    expect(check([short], refusal: ("x.jsonl:3: bad", 2)), .failed, "2 of 3 rows are refused, the first: x.jsonl:3")
    expect(check([]), .failed)
  }

  @Test("a batch that does not fit is found before it is tried")
  func memory() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["training.steps=1"]))
    let plan = try #require(run.plan)
    expect(MemoryCheck(plan: plan, budget: 2 * plan.memory.total).finding(), .passed)
    expect(MemoryCheck(plan: plan, budget: plan.memory.total - 1).finding(), .failed, "of ")
    expect(MemoryCheck(plan: plan, budget: plan.memory.total).finding(), .warning)
  }

  @Test("a loss that is averaged per batch is found: short rows would count too much")
  func accumulation() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 24), threadCount: 1)
    let parameter = Parameter([2], .vector)
    let samples = [sample([1, 2, 3, 4], trained: 3), sample([1, 2, 5], trained: 1)]
    /// A loss that is the sum of trained targets, by all weights or, wrongly, by each batch's own.
    func step(_ batches: [TokenBatch], isWrong: Bool) -> AccumulationCheck.Step {
      let all = batches.reduce(0) { $0 + $1.weightSum }
      var loss = 0.0
      for batch in batches {
        let sum = zip(batch.targets, batch.weights).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        loss += isWrong ? sum / batch.weightSum / Double(batches.count) : sum / all
      }
      return (loss, [("p", parameter, Tensor([Float(loss), 1], shape: [2], on: backend))])
    }
    expect(AccumulationCheck(samples: samples) { step($0, isWrong: false) }.finding(), .passed, "1 x 2 and 2 x 1")
    expect(AccumulationCheck(samples: samples) { step($0, isWrong: true) }.finding(), .failed, "gradients differ")
    expect(AccumulationCheck(samples: [samples[0]]) { step($0, isWrong: false) }.finding(), .skipped)
  }

  @Test("rows that see their neighbours are found")
  func packing() {
    let samples = (1...4).map { sample([Int32($0), 5, Int32(6 + $0)], trained: 1) }
    func losses(_ batch: TokenBatch, leaks: Bool) -> [Double] {
      var previous = 0.0
      return zip(batch.bounds, batch.bounds.dropFirst()).map { start, end in
        let own = batch.inputs[start..<end].reduce(0.0) { $0 + Double($1) }
        defer { previous = own }
        return own + (leaks ? 0.001 * previous : 0)
      }
    }
    expect(PackingCheck(samples: samples) { losses($0, leaks: false) }.finding(), .passed, "differ by 0")
    expect(PackingCheck(samples: samples) { losses($0, leaks: true) }.finding(), .failed, "(row ")
    expect(PackingCheck(samples: samples) { _ in [.nan, .nan, .nan, .nan] }.finding(), .failed)
  }

  @Test("parameters without a gradient are named; adapters must all have one")
  func gradients() {
    func check(_ norms: [Double?], adapters: Bool = true) -> DoctorFinding {
      GradientCheck(norms: { norms.enumerated().map { ("blocks.\($0).up", $1) } }, trainsAdapters: adapters).finding()
    }
    expect(check([1, 0.5]), .passed, "the smallest 0.5000 (blocks.1.up)")
    expect(check([1, 0]), .failed, "1 of 2 trained parameters have none, the first blocks.1.up")
    expect(check([nil, 1]), .failed, "the first blocks.0.up")
    expect(check([1, 0], adapters: false), .warning)
    expect(check([1, .nan]), .failed, "not finite")
  }

  @Test("a merge that is not the adapter, or an adapter that does nothing, is found")
  func merging() {
    func check(_ base: [Float], _ adapted: [Float], _ merged: [Float]) -> DoctorFinding {
      MergeCheck(logits: { .init(base: base, adapted: adapted, merged: merged) }).finding()
    }
    expect(check([1, 2], [1.5, 2], [1.5, 2.000_01]), .passed)
    // The scale forgotten: merged lies between.
    expect(check([1, 2], [1.5, 2], [1.25, 2]), .failed, "differ by 0.1250")
    expect(check([1, 2], [1, 2], [1, 2]), .failed)
    expect(MergeCheck(logits: nil).finding(), .skipped, "no adapters")
  }

  @Test("a resumed run that has lost a state is found")
  func resuming() {
    let digests = ["parameters/a": "1", "optimizer/first/a": "2"]
    expect(ResumeCheck(straight: { digests }, resumed: { digests }).finding(), .passed, "2 tensors")
    let lost = digests.merging(["optimizer/first/a": "0"]) { $1 }
    expect(ResumeCheck(straight: { digests }, resumed: { lost }).finding(), .failed, "the first optimizer/first/a")
    expect(
      ResumeCheck(straight: { digests }, resumed: { throw PTMError.recipe("gone") }).finding(), .failed, "gone")
  }

  @Test("experts that take all the rows are found")
  func balance() {
    func check(_ loads: BalanceCheck.Loads?) -> DoctorFinding {
      BalanceCheck(loads: { loads }, reason: "no experts").finding()
    }
    expect(check([("blocks.0", [10, 12, 9, 11])]), .passed, "1.1 times")
    expect(check([("blocks.0", [10, 10, 10, 10, 10]), ("blocks.1", [50, 0, 0, 0, 0])]), .warning, "5.0 times")
    expect(check(nil), .skipped, "no experts")
  }
}

@Suite("The doctor") struct DoctorTests {
  func examine(_ recipe: TrainingRecipe, budget: Int = 1 << 30) throws -> [DoctorFinding] {
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 30), threadCount: 1)
    let doctor = try Doctor(
      recipe,
      TrainingRun.Surroundings(
        backend: backend, progress: .silent, interruption: Interruption(), openModel: { try .open($0) },
        report: { _ in }), memoryBudget: budget)
    var reported: [DoctorFinding] = []
    let findings = try doctor.examine { reported.append($0) }
    #expect(reported == findings)
    return findings
  }

  @Test("a healthy pretraining recipe passes, and leaves nothing behind", arguments: ["f32", "bf16"])
  func pretraining(_ precision: String) throws {
    let run = TinyRun(try TemporaryFolder())
    let findings = try examine(try run.recipe(["precision=\(precision)"]))
    #expect(findings.allSatisfy { $0.outcome == .passed || $0.outcome == .skipped }, "\(findings)")
    #expect(
      findings.filter { $0.outcome == .passed }.map(\.check) == [
        "vocabulary range", "worst-case memory", "accumulation", "packing", "gradients after a step",
        "save, load, resume",
      ])
    #expect(FilePath.kind(run.folder("run")) == nil)
  }

  @Test("healthy adapters pass", arguments: [["lora.rank=4"], ["lora.rank=2", "lora.targets=[q_proj, down_proj]"]])
  func adapters(_ changes: [String]) throws {
    let tuning = try FineTuningTests()
    let recipe = try tuning.recipe(
      (1...6).map { #"{"prompt":"what is \#($0)?","completion":"it is \#(String(repeating: "so ", count: $0))"}"# },
      changes)
    let findings = try examine(recipe)
    #expect(findings.allSatisfy { $0.outcome == .passed || $0.outcome == .skipped }, "\(findings)")
    #expect(findings.contains { $0.check == "merged adapter" && $0.outcome == .passed })
    #expect(findings.contains { $0.check == "stop token trained" && $0.value.hasPrefix("6 of 6 rows end") })
    #expect(FilePath.kind(tuning.run.folder("tuned")) == nil)
  }

  @Test("a template that ends no answer, and rows that do not fit, are found in the recipe's own files")
  func sickRecipe() throws {
    let tuning = try FineTuningTests()
    let config = tuning.base + "/tokenizer_config.json"
    let text = String(decoding: try TemporaryFolder.read(config), as: UTF8.self)
    try tuning.run.folder.write(
      text.replacing("{{ m.content }}<|endoftext|>", with: "{{ m.content }}.").utf8,
      to: "base/model/tokenizer_config.json")
    let findings = try examine(
      try tuning.recipe((1...4).map { #"{"prompt":"p\#($0)","completion":"\#(String(repeating: "x", count: 200))"}"# }))
    #expect(findings.contains { $0.check == "stop token trained" && $0.outcome == .failed })
    #expect(findings.contains { $0.check == "rows within the length" && $0.outcome == .warning })
  }

  @Test("a machine that is too small is found by the plan")
  func smallMachine() throws {
    let run = TinyRun(try TemporaryFolder())
    let findings = try examine(try run.recipe(), budget: 100_000)
    #expect(findings.contains { $0.check == "worst-case memory" && $0.outcome == .failed })
  }
}

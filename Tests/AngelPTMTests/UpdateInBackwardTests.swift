import AngelCore
import AngelMemory
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("Updates inside the backward pass") struct UpdateInBackwardTests {
  static let inBackward = ["training.update_in_backward=true"]

  @Test(
    "the bits are those of updates after it",
    arguments: [
      [], ["precision=bf16", "training.recompute=true"], ["optimizer.rule=muon", "optimizer.ema=0.9"],
      ["optimizer.rule=adamw8", "architecture.tie_embeddings=true"],
      ["optimizer.rule=adafactor", "architecture.family=gpt2"],
      ["architecture=null", "tokenizer=null", "model=\(Goldens.path("models/mixtral-tiny"))", "experts={z: 0.01}"],
    ])
  func bits(_ changes: [String]) throws {
    func execute(_ more: [String]) throws -> (TinyRun, [UInt8], [JSONValue]) {
      let run = TinyRun(try TemporaryFolder())
      try run.execute(try run.recipe(["optimizer.clip=null", "training.watch_every=2"] + changes + more))
      let steps = try MetricsFile.lines(run.folder("run/metrics.jsonl")).filter { $0["loss"] != nil }
      return (run, try run.weights(), steps)
    }
    let (after, inside) = (try execute([]), try execute(Self.inBackward))
    #expect(after.1 == inside.1)
    #expect(after.0.losses == inside.0.losses && after.0.validations == inside.0.validations)
    #expect(after.2.map { $0["gradient_norm"] } == inside.2.map { $0["gradient_norm"] })
    // Squares of changes are summed in another order.
    for (one, other) in zip(after.2, inside.2) {
      #expect(one["update_ratios"]?.object?.members.map(\.key) == other["update_ratios"]?.object?.members.map(\.key))
      guard let one = one["update_ratio"]?.double, let other = other["update_ratio"]?.double else { continue }
      #expect(abs(one - other) < 1e-12 * one)
    }
  }

  @Test("gradients never exist together: plan and run take less memory by them")
  func memory() throws {
    func execute(_ more: [String]) throws -> TinyRun {
      let run = TinyRun(try TemporaryFolder())
      // Weights weigh more than activations.
      try run.execute(
        try run.recipe(
          [
            "architecture={family: llama, layers: 12, width: 128, heads: 4, inner: 512}", "batch_size=1",
            "training.steps=1", "training.watch_every=null", "optimizer.clip=null", "data.validation_ratio=0",
          ] + more))
      return run
    }
    let (after, inside) = (try execute([]), try execute(Self.inBackward))
    let (before, less) = (try #require(after.plan).memory, try #require(inside.plan).memory)
    #expect(less.gradients * 20 < before.gradients)
    #expect(Double(before.total - less.total) > 0.5 * Double(before.gradients))
    let saved = try #require(after.usage).peakByteCount - (try #require(inside.usage)).peakByteCount
    #expect(Double(saved) > 0.5 * Double(before.gradients), "\(saved) of \(before.gradients)")
  }

  @Test("a run that is stopped goes on as one that was not")
  func resuming() throws {
    let changes = Self.inBackward + ["optimizer.clip=null", "output.save_every=3"]
    let straight = TinyRun(try TemporaryFolder())
    try straight.execute(try straight.recipe(changes))
    let stopped = TinyRun(try TemporaryFolder())
    #expect(throws: Interrupted.self) { try stopped.execute(try stopped.recipe(changes), stopsAfter: 5) }
    try stopped.execute(try stopped.recipe(changes), resumes: true)
    #expect(try straight.weights() == stopped.weights())
  }

  @Test("what needs all gradients first is refused by name")
  func refusals() throws {
    let run = TinyRun(try TemporaryFolder())
    let clip = #expect(throws: ConfigurationError.self) { try run.recipe(Self.inBackward) }
    #expect(
      clip?.problems.first?.hasSuffix("before the norm of all gradients is known: set optimizer.clip=null") == true)
    let sum = #expect(throws: ConfigurationError.self) {
      try run.recipe(Self.inBackward + ["optimizer.clip=null", "training.accumulation=4"])
    }
    #expect(sum?.problems.first?.contains("before the gradients of 4 batches are summed") == true)
  }

  @Test("a loss that is not finite leaves the step out whole")
  func notFinite() throws {
    let run = TinyRun(try TemporaryFolder())
    let error = #expect(throws: PTMError.self) {
      try run.execute(
        try run.recipe(
          Self.inBackward + [
            "optimizer.clip=null", "optimizer.rule=sgd", "optimizer.learning_rate=100", "schedule.warmup=0",
            "training.steps=40", "training.skip_limit=2",
          ]))
    }
    // Either the loss was not finite twice, or a gradient before it was.
    switch error {
    case .notFinite(_, let what, _, let skipped)?: #expect(what == "the loss" && skipped == 2)
    case .halfUpdated(_, let path)?: #expect(!path.isEmpty)
    default: Issue.record("\(error.map { "\($0)" } ?? "no error")")
    }
  }
}

import AngelCore
import AngelMemory
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("Memory as planned") struct MemoryPlanTests {
  /// A model of which a step takes some tens of MiB, so that what else a run does is small beside it.
  private static let whole = [
    "architecture={family: llama, layers: 3, width: 64, heads: 4, inner: 192}", "sequence_length=128", "batch_size=16",
    "training.steps=2", "data.validation_ratio=0",
  ]
  /// Adapters beside the golden Llama.
  private static let adapters = [
    "architecture=null", "tokenizer=null", "model=\(Goldens.path("models/llama-tiny"))", "sequence_length=128",
    "batch_size=64", "training.steps=2", "data.validation_ratio=0", "lora.rank=4",
  ]
  static let cases: [[String]] = [
    whole, whole + ["precision=bf16"], whole + ["training.recompute=true"],
    whole + ["optimizer.rule=adamw8", "precision=bf16"], whole + ["optimizer.rule=muon"],
    whole + ["optimizer.rule=adafactor", "optimizer.ema=0.9"], whole + ["training.accumulation=3"],
    whole + ["training.update_in_backward=true", "optimizer.clip=null", "training.recompute=true"],
    whole + ["data.validation_ratio=0.4"], adapters, adapters + ["precision=bf16", "training.recompute=true"],
    adapters + ["lora.quantize=q4_0"],
    adapters + ["model=\(Goldens.path("models/llama-tiny/llama-tiny-Q4_0.gguf"))", "lora.dora=true"],
  ]

  @Test("a run holds what its plan says within 5 %: tensors, and the pages they lie in or a page", arguments: cases)
  func planned(_ changes: [String]) throws {
    let run = TinyRun(try TemporaryFolder())
    // Enough text for whole batches.
    let data = try run.folder.write(String(repeating: TinyRun.text, count: 40).utf8, to: "long.txt")
    try run.execute(try run.recipe(changes + ["data.train=[\(data)]"]))
    let (plan, usage) = (try #require(run.plan), try #require(run.usage))
    #expect(plan.memory.total > 16 << 20)
    let tensors = plan.memory.total - plan.memory.partEmptyPages
    func text() -> String { "\(changes.suffix(2)): planned \(plan.memory), held \(usage)" }
    #expect(abs(Double(tensors) / Double(usage.peakByteCount) - 1) < 0.05, "\(text())")
    // These runs take some twenty pages, so that one more or less is already 5 %.
    let held = usage.residentByteCount
    #expect(abs(plan.memory.total - held) <= max(held / 20, Page.byteCount), "\(text())")
  }
}

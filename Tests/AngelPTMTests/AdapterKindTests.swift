import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelModels
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("Kinds of adapters, and what stays frozen") struct AdapterKindTests {
  private let tuning: FineTuningTests
  private let rows = (1...8).map { #"{"prompt":"what is \#($0)?","completion":"it is \#($0)"}"# }

  init() throws { tuning = try FineTuningTests() }

  private func tune(_ changes: [String], folder: String = "tuned") throws -> TinyRun {
    let run = TinyRun(tuning.run.folder)
    try run.execute(
      try tuning.recipe(rows, ["output.folder=\(tuning.run.folder(folder))", "output.samples=[]"] + changes))
    return run
  }

  @Test("scales: alpha by rank, by its root for rsLoRA")
  func scales() {
    var shape = AdapterShape()
    (shape.rank, shape.alpha) = (16, 32)
    #expect(shape.scale == 2)
    shape.rslora = true
    #expect(shape.scale == 8)
  }

  @Test(
    "each kind learns, is written for peft, goes on from its folder and merges to the same loss",
    arguments: [["lora.dora=true"], ["lora.rslora=true"], ["lora.dora=true", "lora.rslora=true", "precision=bf16"]])
  func kinds(_ kind: [String]) throws {
    let lora = ["lora.rank=4", "lora.alpha=8", "lora.targets=[q_proj, v_proj, down_proj]"] + kind
    let tuned = try tune(lora + ["training.steps=60", "optimizer.learning_rate=0.03"])
    let (first, last) = (tuned.validations[0], try #require(tuned.validations.last))
    #expect(last < 0.98 * first, "from \(first) to \(last)")
    let adapter = tuning.run.folder("tuned/adapter")
    let configuration = try PEFTFolder(path: adapter).shape
    #expect(configuration.dora == kind.contains("lora.dora=true"))
    #expect(configuration.rslora == kind.contains("lora.rslora=true"))
    let names = try SafetensorsFile(path: adapter + "/adapter_model.safetensors").header.tensors.map(\.name)
    #expect(names.count == (configuration.dora ? 18 : 12))
    #expect(names.contains { $0.hasSuffix("q_proj.lora_magnitude_vector") } == configuration.dora)
    let isExact = !kind.contains("precision=bf16")
    let next = try tune(["lora.from=\(adapter)", "training.steps=1"] + kind.suffix(isExact ? 0 : 1), folder: "next")
    #expect(abs(next.validations[0] - last) < (isExact ? 1e-6 : 1e-3) * last)
    let merged = tuning.run.folder("merged")
    _ = try AdapterMerging(Checkpoint.open(tuning.base), adapter: adapter).write(
      to: merged, as: .float32, on: try CPUBackend(threadCount: 1))
    let whole = try tune(["model=\(merged)", "training.steps=1"], folder: "whole")
    #expect(abs(whole.validations[0] - last) < (isExact ? 1e-5 : 3e-3) * last, "\(whole.validations[0]), \(last)")
  }

  @Test("the doctor finds nothing wrong with DoRA")
  func doctor() throws {
    let recipe = try tuning.recipe(rows, ["lora.rank=4", "lora.dora=true"])
    let findings = try DoctorTests().examine(recipe)
    #expect(findings.allSatisfy { $0.outcome == .passed || $0.outcome == .skipped }, "\(findings)")
  }

  @Test("LoRA+ gives B its own rate: after a step of SGD its change is that many times as large")
  func loraPlus() throws {
    func change(_ ratio: Int) throws -> [Float] {
      let folder = "plus\(ratio)"
      _ = try tune(
        [
          "lora.rank=2", "lora.plus_ratio=\(ratio)", "training.steps=1", "optimizer.rule=sgd",
          "optimizer.weight_decay=0", "optimizer.clip=null",
        ], folder: folder)
      let file = try SafetensorsFile(path: tuning.run.folder("\(folder)/adapter/adapter_model.safetensors"))
      let tensor = try #require(file.header.tensors.first { $0.name.hasSuffix("1.self_attn.v_proj.lora_B.weight") })
      return try file.file.withBytes(tensor.byteRange) { raw in
        (0..<raw.count / 4).map { Float(bitPattern: raw.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
      }
    }
    // B begins at zero, so after a step it is its change.
    let (one, eight) = (try change(1), try change(8))
    #expect(one.contains { $0 != 0 })
    for (a, b) in zip(one, eight) { #expect(abs(8 * a - b) <= 1e-6 * abs(b)) }
  }

  @Test("patterns name parameters by path, stars and ranges")
  func patterns() {
    func matches(_ pattern: String, _ path: String) -> Bool { ParameterPattern(pattern).matches(path) }
    #expect(matches("embedding*", "embedding.weight") && !matches("embedding*", "norm.weight"))
    #expect(matches("blocks.0-11.*", "blocks.11.attention.query.weight"))
    #expect(matches("blocks.0-11.*", "blocks.0.attention.query.weight"))
    #expect(!matches("blocks.0-11.*", "blocks.12.attention.query.weight"))
    #expect(
      matches("*Norm.weight", "blocks.1.attentionNorm.weight") && !matches("*Norm", "blocks.1.attentionNorm.weight"))
    #expect(matches("blocks.3.norm.weight", "blocks.3.norm.weight") && !matches("", "x") && matches("*", "x.y"))
  }

  @Test("frozen parameters stay what they were, the others move; a pattern that names nothing is refused")
  func freezing() throws {
    let tuned = try tune(["freeze=[\"embedding*\", blocks.0-0.*]", "training.steps=3"])
    let (before, after) = (tuning.base + "/model.safetensors", tuning.run.folder("tuned/model/model.safetensors"))
    func bytes(_ path: String, _ name: String) throws -> [UInt8] {
      let file = try SafetensorsFile(path: path)
      let tensor = try #require(file.header.tensors.first { $0.name == name })
      return try file.file.withBytes(tensor.byteRange) { Array($0) }
    }
    for (name, isFrozen) in [
      ("model.embed_tokens.weight", true), ("model.layers.0.self_attn.q_proj.weight", true),
      ("model.layers.0.input_layernorm.weight", true), ("model.layers.1.self_attn.q_proj.weight", false),
      ("model.norm.weight", false),
    ] {
      let isSame = try bytes(before, name) == bytes(after, name)
      #expect(isSame == isFrozen, "\(name)")
    }
    let plan = try #require(tuned.plan)
    #expect(plan.trainedParameterCount < plan.parameterCount / 2)
    let error = #expect(throws: PTMError.self) { try tune(["freeze=[blok.*]"], folder: "none") }
    #expect(error?.description.contains("freeze names 'blok.*', but no parameter is called so") == true)
  }
  /// The rows in stage sft beside a tiny Llama of the goldens.
  private func beside(_ model: String, _ changes: [String] = [], steps: Int = 40) throws -> TinyRun {
    let run = TinyRun(try TemporaryFolder())
    let data = try run.folder.write((rows.joined(separator: "\n") + "\n").utf8, to: "rows.jsonl")
    let recipe = try run.recipe(
      text: """
        stage: sft
        model: \(Goldens.path("models/llama-tiny/" + model))
        data: {train: [\(data)], validation: [\(data)]}
        precision: f32
        sequence_length: 96
        optimizer: {learning_rate: 0.01, weight_decay: 0}
        training: {steps: \(steps)}
        lora: {rank: 4, targets: [q_proj, v_proj, up_proj]}
        output: {folder: \(run.folder("tuned"))}
        """, changes)
    try run.execute(recipe)
    return run
  }

  @Test(
    "QLoRA: adapters learn beside 4-bit weights of a GGUF file as beside the same values in float32, in less memory")
  func quantized() throws {
    let (four, dense) = (try beside("llama-tiny-Q4_0.gguf"), try beside("llama-tiny-F32.gguf"))
    let (first, last) = (four.validations[0], try #require(four.validations.last))
    #expect(last < 0.9 * first, "from \(first) to \(last)")
    // Nothing dense is kept beside the blocks: neither values nor transposes.
    let (small, large) = (try #require(four.plan?.memory.frozenWeights), try #require(dense.plan?.memory.frozenWeights))
    #expect(small * 3 < large, "\(small), \(large)")
    let findings = try DoctorTests().examine(
      try four.recipe(
        text: String(decoding: try TemporaryFolder.read(four.folder("tuned/resolved.yaml")), as: UTF8.self)))
    #expect(findings.contains { $0.check == "merged adapter" && $0.outcome == .passed })
    #expect(findings.allSatisfy { $0.outcome != .failed }, "\(findings)")
  }

  @Test("QLoRA beside dense files: lora.quantize holds the frozen layers in blocks", arguments: ["f32", "bf16"])
  func quantizes(_ precision: String) throws {
    let changes = ["precision=\(precision)"]
    let four = try beside("", changes + ["lora.quantize=q4_0"], steps: 20)
    let dense = try beside("", changes, steps: 20)
    let (small, large) = (try #require(four.plan?.memory.frozenWeights), try #require(dense.plan?.memory.frozenWeights))
    #expect(small < large, "\(small), \(large)")
    let last = try #require(four.validations.last)
    #expect(last < four.validations[0])
    // Rounded weights are others, but not much.
    let difference = abs(four.validations[0] - dense.validations[0])
    #expect(difference > 0 && difference < 0.05 * dense.validations[0])
  }
}

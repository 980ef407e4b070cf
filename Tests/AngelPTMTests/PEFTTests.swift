import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelModels
import AngelNN
import AngelTensor
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("PEFT folders") struct PEFTTests {
  @Test(
    "adapters that peft made give peft's logits, beside the model and merged",
    arguments: ["llama-tiny", "qwen3-tiny", "llama-tiny-bias"])
  func logits(_ name: String) throws {
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 28), threadCount: 1)
    let folder = Goldens.path("adapters/" + name)
    let checkpoint = try Checkpoint.open(Goldens.path("models/" + name))
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    let golden = try Goldens.json("adapters/\(name)/golden.json")
    let tokens = try #require(golden["tokens"]?.array).compactMap { $0.integer.map(Int32.init) }
    let want = try Goldens.floats("adapters/\(name)/logits.bin")

    func check(_ adapted: some LanguageModel) throws {
      var adapted = adapted
      try PEFTFolder(path: folder).attach(to: &adapted, for: .training, on: backend)
      for merges in [false, true] {
        if merges { Adapters.merge(into: &adapted) }
        let hidden = adapted(
          Tensor(tokens, on: backend), ForwardContext(segments: Segments(lengths: [tokens.count], on: backend)))
        let got = try adapted.logits(of: hidden).detached.read(as: Float.self)
        #expect(got.count == want.count)
        let scale = want.reduce(0) { max($0, abs($1)) }
        let error = zip(got, want).reduce(0) { max($0, abs($1.0 - $1.1)) }
        #expect(error < 2e-5 * scale, "\(name): \(error) of \(scale)")
      }
    }
    try check(model)
  }

  @Test(
    "what is not supported is named",
    arguments: [
      ("{\"peft_type\":\"LOHA\"}", "peft_type must be LORA"),
      ("{\"peft_type\":\"LORA\",\"use_qalora\":true}", "use_qalora is true, which is not supported"),
      ("{\"peft_type\":\"LORA\",\"r\":0,\"lora_alpha\":1,\"target_modules\":[\"q_proj\"]}", "r (1 to 4096) and"),
    ])
  func refusals(_ text: String, _ reason: String) throws {
    let folder = try TemporaryFolder()
    try folder.write(text.utf8, to: "adapter_config.json")
    try folder.link(Goldens.path("adapters/llama-tiny/adapter_model.safetensors"), as: "adapter_model.safetensors")
    let error = #expect(throws: ModelError.self) { try PEFTFolder(path: folder.path) }
    #expect(error?.description.contains(reason) == true)
  }

  @Test("layers are those whose tensors are there: target_modules may be a pattern")
  func pattern() throws {
    let golden = Goldens.path("adapters/llama-tiny")
    let folder = try TemporaryFolder()
    guard
      case .object(var object) = try JSONValue(
        parsing: String(decoding: try TemporaryFolder.read(golden + "/adapter_config.json"), as: UTF8.self))
    else { return }
    let listed = try PEFTFolder(path: golden).shape.targets
    object["target_modules"] = ".*_proj"
    try folder.write(JSONValue.object(object).encoded().utf8, to: "adapter_config.json")
    try folder.link(golden + "/adapter_model.safetensors", as: "adapter_model.safetensors")
    #expect(try Set(PEFTFolder(path: folder.path).shape.targets) == Set(listed))
  }
}

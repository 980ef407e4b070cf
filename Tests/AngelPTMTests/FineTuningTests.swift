import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelModels
import AngelTesting
import AngelText
import Testing

@testable import AngelPTM

@Suite("Fine-tuning") struct FineTuningTests {
  let run: TinyRun
  let base: String

  static let template =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|endoftext|>{% endfor %}"
    + "{% if add_generation_prompt %}<assistant>{% endif %}"

  /// A small byte model with a chat template to begin from.
  init() throws {
    run = TinyRun(try TemporaryFolder())
    try run.execute(
      try run.recipe(["tokenizer=byte", "architecture.context=128", "output.folder=\(run.folder("base"))"]))
    base = try #require(run.finishedPath)
    let text = String(decoding: try TemporaryFolder.read(base + "/tokenizer_config.json"), as: UTF8.self)
    guard case .object(var object) = try JSONValue(parsing: text) else { return }
    object["chat_template"] = .string(Self.template)
    try run.folder.write(JSONValue.object(object).encoded().utf8, to: "base/model/tokenizer_config.json")
  }

  func recipe(_ rows: [String], _ changes: [String] = []) throws -> TrainingRecipe {
    let data = try run.folder.write((rows.joined(separator: "\n") + "\n").utf8, to: "rows.jsonl")
    return try run.recipe(
      text: """
        stage: sft
        model: \(base)
        precision: f32
        data: {train: [\(data)], validation: [\(data)]}
        sequence_length: 96
        batch_size: 4
        optimizer: {learning_rate: 0.01}
        training: {steps: 12}
        output: {folder: \(run.folder("tuned")), validate_every: 6, samples: [hi]}
        """, changes)
  }

  private func tune(_ recipe: TrainingRecipe) throws -> TinyRun {
    let tuned = TinyRun(run.folder)
    try tuned.execute(recipe)
    return tuned
  }

  static let layouts = [
    ("messages", #"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello you"}]}"#),
    ("sharegpt", #"{"conversations":[{"from":"human","value":"hi"},{"from":"gpt","value":"hello you"}]}"#),
    ("alpaca", #"{"instruction":"hi","input":"","output":"hello you"}"#),
    ("pair", #"{"prompt":"hi","completion":"hello you"}"#),
  ]

  @Test("rows of every layout are told by their keys, and only answers are learnt", arguments: layouts)
  func layout(_ name: String, _ row: String) throws {
    let tuned = try tune(try recipe([row], ["training.steps=2"]))
    let statistics = try #require(tuned.statistics)
    #expect(statistics.layout?.rawValue == name)
    // "hello you" and the end token.
    #expect(statistics.rows == 2 && statistics.trainedTokens == 2 * 10)
    #expect(tuned.samples.first == "<user>hi<|endoftext|><assistant>…")
  }

  @Test("a run of one row learns it")
  func oneRow() throws {
    let tuned = try tune(try recipe([Self.layouts[0].1], ["training.steps=80"]))
    #expect(tuned.validations.last ?? 9 < 0.1 * (tuned.validations.first ?? 0))
  }

  @Test("packing changes no loss: rows of different conversations do not see each other")
  func packing() throws {
    let rows = (1...6).map { #"{"prompt":"what is \#($0)?","completion":"it is \#($0 * $0), of course"}"# }
    let changes = ["optimizer.learning_rate=0", "training.steps=1", "batch_size=8"]
    let packed = try tune(try recipe(rows, changes))
    let single = try tune(
      try recipe(rows, changes + ["data.packing=false", "output.folder=\(run.folder("single"))"]))
    #expect(abs(packed.losses[0] - single.losses[0]) < 1e-5 * single.losses[0])
    #expect(abs(packed.losses[0] - packed.validations[0]) < 1e-5 * packed.losses[0])
  }

  @Test("turns count by their weights")
  func weights() throws {
    func row(_ weight: String) -> String {
      #"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"bc","weight":0},"#
        + #"{"role":"user","content":"d"},{"role":"assistant","content":"efg"\#(weight)}]}"#
    }
    let tuned = try tune(try recipe([row(""), row(#","weight":2"#)], ["training.steps=1"]))
    #expect(tuned.statistics?.trainedTokens == 2 * 2 * 4)
  }

  @Test("adapters learn beside a frozen model, are written for PEFT, go on from their folder and can be merged")
  func adapters() throws {
    let before = try TemporaryFolder.read(base + "/model.safetensors")
    let rows = (1...8).map { #"{"prompt":"what is \#($0)?","completion":"it is \#($0)"}"# }
    let lora = ["lora.rank=4", "lora.alpha=8", "lora.targets=[q_proj, v_proj, down_proj]"]
    let tuned = try tune(try recipe(rows, lora + ["training.steps=80", "optimizer.learning_rate=0.03"]))
    let (first, last) = (tuned.validations[0], try #require(tuned.validations.last))
    // The base knows little and its head is frozen: 3.71 to 3.56.
    #expect(last < 0.97 * first, "from \(first) to \(last)")
    #expect(tuned.finishedPath == run.folder("tuned/adapter"))
    #expect(try TemporaryFolder.read(base + "/model.safetensors") == before)
    // 2 layers: q and v of 32x32, down of 32x64, each r (inputs + outputs).
    #expect(tuned.plan?.trainedParameterCount == 2 * 4 * (64 + 64 + 96))

    let adapter = run.folder("tuned/adapter")
    let configuration = try JSONValue(parsing: try TemporaryFolder.read(adapter + "/adapter_config.json"))
    #expect(configuration["r"] == 4 && configuration["lora_alpha"]?.double == 8 && configuration["peft_type"] == "LORA")
    let names = try SafetensorsFile(path: adapter + "/adapter_model.safetensors").header.tensors.map(\.name)
    #expect(names.count == 2 * 3 * 2)
    #expect(names.contains("base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"))

    let next = try tune(
      try recipe(rows, ["lora.from=\(adapter)", "training.steps=1", "output.folder=\(run.folder("next"))"]))
    #expect(abs(next.validations[0] - last) < 1e-6 * last)

    let merging = try AdapterMerging(Checkpoint.open(base), adapter: adapter)
    let merged = run.folder("merged")
    #expect(try merging.write(to: merged, as: .float32, on: try CPUBackend(threadCount: 1)) == 6)
    let whole = try tune(
      try recipe(rows, ["model=\(merged)", "training.steps=1", "output.folder=\(run.folder("whole"))"]))
    #expect(abs(whole.validations[0] - last) < 1e-5 * last)
  }

  @Test("the template called gemma has no system turn: its words open the first of the user")
  func gemmaSystem() throws {
    let template = try ChatTemplate(NamedTemplates.source(of: "gemma"))
    let turns: [ChatMessage] = [.init(role: "user", "Q"), .init(role: "assistant", "A")]
    func rendered(_ messages: [ChatMessage]) throws -> String {
      try template.render(
        messages: messages, tools: nil, addsGenerationPrompt: true, beginToken: "<bos>", endToken: "<eos>")
    }
    let end = "<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n<start_of_turn>model\n"
    #expect(try rendered(turns) == "<bos><start_of_turn>user\nQ" + end)
    #expect(
      try rendered([.init(role: "system", "Be brief.")] + turns) == "<bos><start_of_turn>user\nBe brief.\n\nQ" + end)
  }

  @Test("a model without a chat template is given one, by name or file, which is written beside the result")
  func chatTemplate() throws {
    let bare = run.folder("bare")
    let path = try #require(
      try {
        let made = TinyRun(run.folder)
        try made.execute(
          try made.recipe(["tokenizer=byte", "architecture.context=128", "training.steps=1", "output.folder=\(bare)"]))
        return made.finishedPath
      }())
    let rows = [Self.layouts[0].1]
    let changes = ["model=\(path)", "training.steps=2"]
    let refused = #expect(throws: (any Error).self) { try tune(try recipe(rows, changes)) }
    #expect("\(refused.map { "\($0)" } ?? "")".contains("no chat template"))
    let unknown = #expect(throws: PTMError.self) { try tune(try recipe(rows, changes + ["chat_template=chatmi"])) }
    #expect(unknown?.description == "chat_template is 'chatmi', which is neither chatml, gemma nor a file")

    let template = try run.folder.write(Self.template.utf8, to: "t.jinja")
    let tuned = try tune(try recipe(rows, changes + ["chat_template=\(template)"]))
    #expect(tuned.samples.first == "<user>hi<|endoftext|><assistant>…")
    #expect(try Checkpoint.open(try #require(tuned.finishedPath)).chatTemplate == Self.template)

    let adapted = try tune(
      try recipe(rows, changes + ["chat_template=chatml", "lora.rank=2", "output.folder=\(run.folder("adapted"))"]))
    #expect(adapted.samples.first == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n…")
    let adapter = try #require(adapted.finishedPath)
    #expect(try PEFTFolder(path: adapter).chatTemplate?.hasPrefix("{% for message in messages %}<|im_start|>") == true)
    let merged = run.folder("merged-template")
    _ = try AdapterMerging(Checkpoint.open(path), adapter: adapter).write(
      to: merged, as: .float32, on: try CPUBackend(threadCount: 1))
    #expect(try Checkpoint.open(merged).chatTemplate == PEFTFolder(path: adapter).chatTemplate)
  }

  @Test("a target that names no layer is named")
  func unknownTarget() throws {
    let error = #expect(throws: PTMError.self) { try tune(try recipe([Self.layouts[0].1], ["lora.targets=[qq_proj]"])) }
    #expect(error?.description == "lora.targets names 'qq_proj', but no linear layer of the model is called so")
  }

  @Test("rows longer than sequence_length are cut and counted; rows of which no answer is left are left out")
  func longRows() throws {
    let long = String(repeating: "long ", count: 30)
    let rows = [
      Self.layouts[3].1, #"{"prompt":"hi","completion":"\#(long)"}"#, #"{"prompt":"\#(long)","completion":"hi"}"#,
    ]
    let tuned = try tune(try recipe(rows, ["training.steps=1", "data.validation=[]"]))
    #expect(tuned.statistics?.truncatedRows == 2 && tuned.statistics?.droppedRows == 1)
    let error = #expect(throws: (any Error).self) {
      try tune(try recipe([rows[2]], ["output.folder=\(run.folder("none"))"]))
    }
    #expect("\(error.map { "\($0)" } ?? "")".contains("none has a trained token within sequence_length 96"))
  }

  @Test(
    "rows that cannot be used are refused by place and reason",
    arguments: [
      ("{\"prompt\": \"hi\", oops}", "rows.jsonl:1:18: not JSON"),
      ("{\"text\": \"hi\"}", "rows.jsonl:1: no known layout has the keys 'text'"),
      (
        "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}", "rows.jsonl:1: there is no turn of the assistant"
      ),
      ("", "rows.jsonl': it holds no rows"),
    ])
  func badRows(_ row: String, _ reason: String) throws {
    let error = #expect(throws: (any Error).self) { try tune(try recipe([row])) }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains(reason) && !text.contains("\n"), "\(text)")
    #expect(FilePath.kind(run.folder("tuned")) == nil)
  }
}

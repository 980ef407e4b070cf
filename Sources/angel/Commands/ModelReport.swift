import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory

/// What is known about a model: its card, and the memory it takes to run. Shown by `models show` and `quickstart`.
struct ModelReport {
  let name: String
  let path: String
  let manifest: ModelManifest?
  let checkpoint: Checkpoint
  /// What the tokenizer is, or why it cannot be read.
  let tokenizer: String
  /// The memory plan, or why there is none.
  let plan: Result<ModelPlan, any Error>
  /// Bytes the plan is held against.
  let budget: Int

  init(_ model: ModelStore.ResolvedModel, _ arguments: Arguments, _ context: CommandContext) throws {
    name = model.name
    path = model.path
    manifest = model.manifest
    checkpoint = try Checkpoint.open(model.path)
    do {
      let description = try checkpoint.tokenizer()
      tokenizer = "byte-level BPE, \(TextFormat.count(description.tokens.count)) tokens"
    } catch {
      tokenizer = "not supported: \(error)"
    }
    let checkpoint = checkpoint
    plan = Result {
      try ModelPlan(
        checkpoint, arithmetic: context.arithmetic, adapter: SessionOptions.adapterFolder(arguments),
        options: SessionOptions.engine(arguments, context))
    }
    budget = arguments[SessionOptions.memory] ?? MachineMemory.current().defaultBudget
  }

  /// The memory plan as a table against the budget, nil for a model that cannot be run.
  var memoryPlan: MemoryPlan? { (try? plan.get())?.memoryPlan(budget: budget) }

  /// Why the model cannot be run, nil when it can.
  var obstacle: String? {
    guard case .failure(let error) = plan else { return nil }
    return "\(error)"
  }

  private var license: String? { manifest?.license ?? checkpoint.card.license }

  /// The card's lines: a label and what is known.
  private var facts: [(label: String, text: String)] {
    let card = checkpoint.card
    let sizes = checkpoint.dimensions
    var facts: [(String, String)] = [("name", name), ("path", path)]
    func add(_ label: String, _ text: String?) { if let text, !text.isEmpty { facts.append((label, text)) } }
    add("title", card.name)
    add("architecture", checkpoint.architecture)
    add("parameters", TextFormat.parameters(card.parameterCount))
    add("size", TextFormat.bytes(card.byteCount))
    for type in card.byteCounts {
      add("  \(type.type)", "\(TextFormat.bytes(type.bytes)) in \(type.tensors) tensor\(type.tensors == 1 ? "" : "s")")
    }
    for form in card.quantization?.forms ?? [] {
      let why = form.reason.map { "since it has \($0)" } ?? "with the same values"
      let count = "\(form.tensors) matri\(form.tensors == 1 ? "x" : "ces")"
      add("held as \(form.type)", "\(TextFormat.bytes(form.bytes)) in \(count), \(why)")
    }
    let held = checkpoint.heldTwoOfFour
    if !held.isEmpty {
      add(
        "held as 2:4", "\(held.count) matri\(held.count == 1 ? "x" : "ces") of which two of every four weights are zero"
      )
    }
    add("context", sizes.contextLength.map { TextFormat.count($0) + " tokens" })
    add("layers", sizes.layerCount.map(TextFormat.count))
    add("width", sizes.hiddenSize.map(TextFormat.count))
    add("heads", heads(sizes))
    add("vocabulary", sizes.vocabularySize.map(TextFormat.count))
    add("tokenizer", tokenizer)
    add("chat template", checkpoint.chatTemplate == nil ? "no" : "yes")
    add("license", license)
    add("source", manifest?.source)
    add("revision", manifest?.revision)
    add("commit", manifest?.commit)
    add("pulled", manifest?.pulled)
    for file in manifest?.files ?? [] {
      add("file", "\(file.path)  \(TextFormat.bytes(file.size))  SHA-256 \(file.sha256)")
    }
    if !checkpoint.unsupportedTensors.isEmpty {
      let names = checkpoint.unsupportedTensors.sorted { $0.key < $1.key }.prefix(4).map { "\($0.key) (\($0.value))" }
      let count = checkpoint.unsupportedTensors.count
      add("unsupported", "\(count) tensors: \(names.joined(separator: ", "))\(count > names.count ? ", …" : "")")
    }
    return facts
  }

  private func heads(_ sizes: ModelDimensions) -> String? {
    guard let heads = sizes.headCount else { return nil }
    guard let shared = sizes.keyValueHeadCount, shared != heads else { return "\(heads)" }
    return "\(heads), keys and values \(shared)"
  }

  /// The card, aligned.
  var cardText: String {
    let width = facts.map { DisplayWidth.of($0.label) }.max() ?? 0
    return facts.map { "\($0.label.padded(to: width))  \($0.text)" }.joined(separator: "\n")
  }

  /// The memory plan for one stream, or why the model cannot be run.
  var planText: String {
    guard let memoryPlan else { return "cannot be run yet: \(obstacle ?? "")" }
    return "memory for one stream:\n"
      + memoryPlan.description.split(separator: "\n").map { "  \($0)\n" }.joined()
      .dropLast()
  }

  private static func json(_ weights: QuantizedWeights) -> JSONValue {
    .array(
      weights.forms.map { form in
        [
          "type": .string(form.type), "tensors": .integer(form.tensors), "bytes": .integer(form.bytes),
          "reason": form.reason.map(JSONValue.string) ?? .null,
        ]
      })
  }

  /// The card with stable names; absent facts are null.
  var json: JSONObject {
    let card = checkpoint.card
    let sizes = checkpoint.dimensions
    func optional(_ value: Int?) -> JSONValue { value.map { .integer($0) } ?? .null }
    func optional(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
    return JSONObject([
      ("name", .string(name)), ("path", .string(path)), ("title", optional(card.name)),
      ("architecture", .string(checkpoint.architecture)), ("parameters", .integer(card.parameterCount)),
      ("bytes", .integer(card.byteCount)),
      (
        "types",
        .array(
          card.byteCounts.map {
            ["type": .string($0.type), "tensors": .integer($0.tensors), "bytes": .integer($0.bytes)]
          })
      ), ("held_as", card.quantization.map(Self.json) ?? .null),
      ("held_two_of_four", .integer(checkpoint.heldTwoOfFour.count)), ("context", optional(sizes.contextLength)),
      ("layers", optional(sizes.layerCount)),
      ("width", optional(sizes.hiddenSize)), ("heads", optional(sizes.headCount)),
      ("key_value_heads", optional(sizes.keyValueHeadCount ?? sizes.headCount)),
      ("vocabulary", optional(sizes.vocabularySize)), ("tokenizer", .string(tokenizer)),
      ("chat_template", .bool(checkpoint.chatTemplate != nil)), ("license", optional(license)),
      ("source", optional(manifest?.source)), ("revision", optional(manifest?.revision)),
      ("commit", optional(manifest?.commit)), ("pulled", optional(manifest?.pulled)),
      ("files", manifest?.json["files"] ?? .null),
      (
        "unsupported_tensors",
        .object(
          JSONObject(checkpoint.unsupportedTensors.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
      ), ("runs", .bool(obstacle == nil)), ("obstacle", optional(obstacle)),
      ("plan", memoryPlan?.json ?? .null),
    ])
  }
}

import AngelCore

/// A run as one page, `report.html`: recipe, data, curves, samples, memory, speed, environment, and the hash of
/// everything.
struct RunReport {
  var folder: String
  var recipe: TrainingRecipe
  var plan: RunPlan
  var statistics: TrainingData.Statistics
  /// The lines of `metrics.jsonl`.
  var lines: [JSONValue]
  var environment: [(name: String, value: String)]
  /// Files with their sizes and SHA-256 digests; filled at the end of a run.
  var hashes: [(role: String, path: String, bytes: Int, digest: String)] = []

  var html: String {
    let steps = lines.filter { $0["loss"] != nil }
    var page = HTMLPage(title: folder, subtitle: subtitle(steps))
    page.cards(cards(steps))
    page.heading("Curves")
    page.pictures([CurvePlot.loss(lines, title: "loss by step").svg], isWide: true)
    page.pictures([
      plot("learning rate", "learning_rate", "#6cc5b0"), plot("norm of the gradients", "gradient_norm", "#efb118"),
      plot("tokens per second", "tokens_per_second", "#a463f2"),
      plot("update by weight", "update_ratio", "#ff725c"),
    ])
    updates(&page)
    samples(&page)
    data(&page)
    memory(&page)
    skipped(steps, &page)
    page.heading("Recipe")
    page.preformatted(recipe.yaml)
    page.heading("Environment")
    page.table(environment.map { [$0.name, $0.value] })
    page.heading("Hashes")
    page.paragraph("SHA-256 of everything that went in and came out; files above 1 GiB are named only.")
    page.table(
      hashes.map { [$0.role, $0.path, TextFormat.bytes($0.bytes), $0.digest] },
      headings: ["what", "file", "size", "SHA-256"])
    return page.text
  }

  private func subtitle(_ steps: [JSONValue]) -> String {
    let taken = steps.last?["step"]?.integer ?? 0
    let begin = recipe.model ?? recipe.architecture.map { "a new \($0.family.rawValue) model" } ?? ""
    return "\(recipe.stage.rawValue) of \(begin), \(taken) of \(plan.steps) steps"
  }

  private func cards(_ steps: [JSONValue]) -> [(name: String, value: String, detail: String)] {
    func number(_ value: Double?, _ digits: Int) -> String {
      value.map { TextFormat.fixed($0, digits: digits) } ?? "–"
    }
    let validations = lines.compactMap { $0["validation_loss"]?.double }
    let seconds = steps.reduce(0) { $0 + ($1["seconds"]?.double ?? 0) }
    let tokens = steps.reduce(0) { $0 + ($1["tokens"]?.integer ?? 0) }
    let share = steps.compactMap { $0["mfu"]?.double }.sorted()
    let speed = TextFormat.fixed(Double(tokens) / max(seconds, 1e-9), digits: 0)
    let peak =
      share.isEmpty ? "" : "\(TextFormat.fixed(100 * share[share.count / 2], digits: 0)) % of this machine's products"
    let trained = "\(TextFormat.parameters(plan.trainedParameterCount)) trained"
    return [
      ("training loss", number(steps.last?["loss"]?.double, 4), "at first \(number(steps.first?["loss"]?.double, 4))"),
      ("validation loss", number(validations.last, 4), "at first \(number(validations.first, 4))"),
      ("tokens", TextFormat.parameters(tokens), "in \(TextFormat.duration(seconds: seconds))"),
      ("tokens per second", speed, peak), ("parameters", TextFormat.parameters(plan.parameterCount), trained),
      ("memory", TextFormat.bytes(plan.memory.total), "as planned"),
    ]
  }

  private func plot(_ title: String, _ key: String, _ color: String) -> String {
    CurvePlot(title: title, series: [.init(name: "", color: color, points: CurvePlot.points(key, in: lines))]).svg
  }

  private func updates(_ page: inout HTMLPage) {
    guard let last = lines.last(where: { $0["update_ratios"] != nil }), let groups = last["update_ratios"]?.object
    else {
      return
    }
    page.heading("Updates by part of the model, step \(last["step"]?.integer ?? 0)")
    page.bars(
      groups.members.map { ($0.key, $0.value.double ?? 0, DoctorText.small($0.value.double ?? 0)) })
  }

  private func samples(_ page: inout HTMLPage) {
    let samples = lines.filter { $0["sample"] != nil }
    guard let last = samples.last?["step"]?.integer else { return }
    page.heading("Samples")
    for line in samples {
      let step = line["step"]?.integer ?? 0
      let prompt = line["prompt"]?.string ?? ""
      page.details("step \(step): \(prompt)", line["sample"]?.string ?? "", isOpen: step == last)
    }
  }

  private func data(_ page: inout HTMLPage) {
    page.heading("Data")
    var rows = [
      ["rows", TextFormat.count(statistics.rows)], ["tokens", TextFormat.count(statistics.tokens)],
      ["trained tokens", TextFormat.count(statistics.trainedTokens)],
      ["rows cut to \(recipe.sequenceLength)", TextFormat.count(statistics.truncatedRows)],
      ["rows left out", TextFormat.count(statistics.droppedRows)],
      ["rows that became several samples", TextFormat.count(statistics.splitRows)],
      ["training files", recipe.data.train.joined(separator: ", ")],
    ]
    if let layout = statistics.layout { rows.append(["layout", layout.rawValue]) }
    if !recipe.data.validation.isEmpty {
      rows.append(["validation files", recipe.data.validation.joined(separator: ", ")])
    }
    page.table(rows)
  }

  private func memory(_ page: inout HTMLPage) {
    page.heading("Memory, as planned")
    let memory = plan.memory
    let parts = [
      ("frozen weights", memory.frozenWeights), ("trained weights", memory.trainedWeights),
      ("gradients", memory.gradients), ("optimizer states", memory.optimizerStates),
      ("activations", memory.activations), ("part-empty pages", memory.partEmptyPages),
    ]
    page.bar(parts.filter { $0.1 > 0 }.map { ($0.0, Double($0.1), TextFormat.bytes($0.1)) })
  }

  private func skipped(_ steps: [JSONValue], _ page: inout HTMLPage) {
    let skipped = steps.filter { $0["skipped"] != nil }
    page.heading("Steps left out: \(skipped.count)")
    page.table(
      skipped.prefix(50).map {
        ["\($0["step"]?.integer ?? 0)", $0["skipped"]?.string ?? "", $0["first_not_finite"]?.string ?? ""]
      }, headings: ["step", "why", "where first"])
  }
}

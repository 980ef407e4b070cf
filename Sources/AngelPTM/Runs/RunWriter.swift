import AngelCore
import Glibc

/// What a run writes as it goes: metrics, TensorBoard events and curves.
final class RunWriter {
  private let folder: RunFolder
  private let metrics: MetricsFile
  private let events: TensorBoardFile

  /// - Parameter step: what was written after it is forgotten.
  init(_ folder: RunFolder, step: Int) throws {
    self.folder = folder
    metrics = try MetricsFile(folder: folder.path, keepingStepsTo: step)
    events = try TensorBoardFile(folder: folder.tensorBoard, now: Int(Self.now), resumingAfter: step)
  }

  func write(_ record: StepRecord) throws {
    try metrics.append(record.json)
    var values = [
      ("train/loss", record.loss), ("train/gradient_norm", record.gradientNorm),
      ("train/learning_rate", record.learningRate), ("train/tokens_per_second", record.tokensPerSecond),
    ]
    if let share = record.peakShare { values.append(("train/mfu", share)) }
    if let experts = record.experts {
      values += [
        ("train/expert_balance_loss", experts.balance), ("train/expert_z_loss", experts.z),
        ("train/expert_load", experts.load.max() ?? 1),
      ]
    }
    if let ratios = record.updateRatios {
      values.append(("train/update_ratio", ratios.overall))
      values += ratios.groups.map { ("update_ratio/" + $0.name, $0.ratio) }
    }
    try events.write(step: record.step, seconds: Self.now, values)
  }

  /// - Parameter tasks: the losses of validation files, where there are several.
  func write(step: Int, validationLoss: Double, tasks: [(name: String, loss: Double)]) throws {
    var line = JSONObject([("step", .integer(step)), ("validation_loss", .number(validationLoss))])
    if !tasks.isEmpty {
      line["validation_losses"] = .object(JSONObject(tasks.map { ($0.name, .number($0.loss)) }))
    }
    try metrics.append(.object(line))
    let values = [("validation/loss", validationLoss)] + tasks.map { ("validation/" + $0.name, $0.loss) }
    try events.write(step: step, seconds: Self.now, values)
  }

  func write(step: Int, prompt: String, sample: String) throws {
    try metrics.append(["step": .integer(step), "prompt": .string(prompt), "sample": .string(sample)])
  }

  /// Writes the run's page from everything written so far.
  func write(_ report: RunReport) throws {
    var report = report
    report.lines = try MetricsFile.lines(metrics.path)
    let file = try AtomicFile(path: folder.report)
    try file.write(report.html.utf8)
    try file.commit()
  }

  /// Whether a validation after `step` is written.
  func hasValidation(step: Int) throws -> Bool {
    try MetricsFile.lines(metrics.path).contains { $0["step"]?.integer == step && $0["validation_loss"] != nil }
  }

  /// Draws the curves of everything written so far.
  func plot() throws {
    let plot = CurvePlot.loss(try MetricsFile.lines(metrics.path), title: "\(folder.path): loss by step")
    let file = try AtomicFile(path: folder.curves)
    try file.write(plot.svg.utf8)
    try file.commit()
  }

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}

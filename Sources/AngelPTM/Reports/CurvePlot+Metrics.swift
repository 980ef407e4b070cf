import AngelCore

extension CurvePlot {
  /// Training and validation loss by step, from the lines of `metrics.jsonl`.
  static func loss(_ lines: [JSONValue], title: String) -> CurvePlot {
    CurvePlot(
      title: title,
      series: [
        .init(name: "training", color: "#4269d0", points: points("loss", in: lines)),
        .init(name: "validation", color: "#ff725c", points: points("validation_loss", in: lines), hasDots: true),
      ])
  }

  /// What lines have under a key, by step.
  static func points(_ key: String, in lines: [JSONValue]) -> [(x: Double, y: Double)] {
    lines.compactMap { line in
      guard let x = line["step"]?.double, let y = line[key]?.double else { return nil }
      return (x, y)
    }
  }
}

import AngelCore

/// Whether everything that is to be trained gets a gradient once a step has been taken: adapters that hang on a layer
/// which does not take part stay what they were.
struct GradientCheck: DoctorCheck {
  static let name = "gradients after a step"
  /// The norm of each trained parameter's gradient; nil where none arrives.
  let norms: () throws -> [(path: String, norm: Double?)]
  /// Whether adapters are trained, all of which must move; else parameters that few rows use may rest.
  let trainsAdapters: Bool

  func run() throws -> DoctorFinding {
    let norms = try norms()
    let broken = norms.filter { $0.norm.map { !$0.isFinite } ?? false }
    if let first = broken.first {
      return failed(
        "\(broken.count) of \(norms.count) gradients are not finite, the first of \(first.path)",
        remedy: "lower optimizer.learning_rate, or look at the model's weights")
    }
    let still = norms.filter { ($0.norm ?? 0) == 0 }
    guard let first = still.first else {
      let smallest = norms.min { ($0.norm ?? 0) < ($1.norm ?? 0) }
      return passed(
        "all \(norms.count) trained parameters have one, the smallest \(DoctorText.small(smallest?.norm ?? 0)) "
          + "(\(smallest?.path ?? ""))")
    }
    let value = "\(still.count) of \(norms.count) trained parameters have none, the first \(first.path)"
    return trainsAdapters
      ? failed(value, remedy: "these adapters never learn: name other layers in lora.targets")
      : warning(value, remedy: "these parameters never learn from such rows; freeze them, or bring rows that use them")
  }
}

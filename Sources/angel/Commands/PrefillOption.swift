import AngelHCF

/// What tokens of prompts attend to (`--prefill`).
enum PrefillOption: Sendable {
  case dense
  /// With a share: how much of what a token may find it keeps.
  case sparse(SparsePrefill)

  static let prefill = Option<Self>.custom(
    "prefill", placeholder: "dense|sparse[=SHARE]", expects: "dense, sparse, or sparse= and a share above 0, at most 1",
    choices: ["dense", "sparse"], default: .dense, defaultText: "dense",
    help:
      "sparse: after \(SparsePrefill().firstPosition) tokens prompts see what matters alone (SHARE: \(SparsePrefill().share)), inexact"
  ) { Self($0) }

  init?(_ text: String) {
    switch text {
    case "dense": self = .dense
    case "sparse": self = .sparse(SparsePrefill())
    default:
      guard text.hasPrefix("sparse="), let share = Float(text.dropFirst(7)), share > 0, share <= 1 else { return nil }
      self = .sparse(SparsePrefill(share: share))
    }
  }

  /// Nil: dense.
  var sparse: SparsePrefill? {
    guard case .sparse(let sparse) = self else { return nil }
    return sparse
  }
}

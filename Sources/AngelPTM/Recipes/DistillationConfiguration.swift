public import AngelCore

/// Learning from what a larger model would say (arXiv:1503.02531).
public struct DistillationConfiguration: Configurable, Hashable {
  /// A model of the store, a folder or a file, with the tokenizer of the model that learns.
  public var teacher = ""
  /// The share of the loss that the teacher gives; the rest is the data's own.
  public var weight = 0.5
  /// Both models' logits are divided by it before they are compared.
  public var temperature = 1.0
  /// Whether rows are plain texts, as in stage pretrain, rather than conversations.
  public var texts = false
  /// What is learnt of the teacher's layers; nothing: only what it says.
  public var hidden: HiddenStateConfiguration?

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("teacher", \.teacher, "the model that is learnt from, with the same tokenizer"),
    .value("weight", \.weight, in: 0...1, "the share of the loss that the teacher gives; the rest is the data's"),
    .value("temperature", \.temperature, in: 0.01...100, "divides both models' logits before they are compared"),
    .value("texts", \.texts, "rows are plain texts, as in stage pretrain, not conversations"),
    .group("hidden", \.hidden, "what is learnt of the teacher's layers; null: only what it says"),
  ]

  public func problems() -> [String] {
    (teacher.isEmpty ? ["distill.teacher is missing: name a model"] : []) + (hidden?.problems() ?? [])
  }
}

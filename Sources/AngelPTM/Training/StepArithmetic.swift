import AngelModels
import AngelNN

/// The arithmetic that a step needs, by the usual count (arXiv:2001.08361, §2.1): two operations a token and matrix value
/// forward and two for the gradient of what went in, two more where the value is trained. Attention over positions is not
/// counted, nor what recomputation adds; an expert counts for the share of tokens that choose one of its layer's.
struct StepArithmetic {
  let operationsPerToken: Double

  /// A teacher's constants are counted forward alone.
  init(_ model: some LanguageModel, _ distillation: Distillation?) {
    let teacher = distillation.map { StepArithmetic($0.teacher).operationsPerToken / 2 } ?? 0
    operationsPerToken = StepArithmetic(model).operationsPerToken + teacher
  }

  init(_ model: some LanguageModel) {
    var operations = 0.0
    for (path, parameter) in model.parameterShapes() where parameter.shape.rank > 1 {
      // An embedding is looked up; only as an output head is it a product.
      guard !path.hasPrefix("embedding."), !path.hasPrefix("positions.") else { continue }
      operations += Self.operations(parameter)
    }
    if let head = (model as? any LinearHeadModel)?.tiedHead { operations += Self.operations(head) }
    operationsPerToken = operations
  }

  private static func operations(_ parameter: Parameter) -> Double {
    Double(parameter.shape.elementCount) * parameter.tokenShare * (parameter.isTrained ? 6 : 4)
  }
}

extension LinearHeadModel {
  /// The weight of the output head where it is the embedding's.
  fileprivate var tiedHead: Parameter? {
    let weight = outputHead.weight
    return parameterShapes().first { $0.parameter === weight }?.path.hasPrefix("embedding.") == true ? weight : nil
  }
}

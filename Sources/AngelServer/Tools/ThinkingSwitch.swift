import AngelCore
import AngelHCF

/// Whether a model is to think before it answers, for templates that have a switch for it (`enable_thinking`, as Qwen's).
enum ThinkingSwitch {
  /// The variables of a model's chat template that say so. Throws `APIError` where the template cannot be told.
  ///
  /// - Parameters:
  ///   - wanted: nil leaves it to the template.
  ///   - field: the one that asks for it.
  static func values(_ wanted: Bool?, field: String, _ engine: any ServingEngine) throws(APIError) -> JSONObject {
    let template = engine.chatTemplate?.source ?? ""
    let (thinks, hasSwitch) = (template.contains("</think>"), template.contains("enable_thinking"))
    switch wanted {
    case true? where !thinks: throw .invalid(field, "asks for thoughts: this model's chat template knows none")
    case false? where thinks && !hasSwitch:
      throw .invalid(field, "asks for no thoughts: this model's chat template has no switch for them")
    case let wanted? where hasSwitch: return JSONObject([("enable_thinking", .bool(wanted))])
    default: return JSONObject()
    }
  }
}

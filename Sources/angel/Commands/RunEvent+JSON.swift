import AngelCore
import AngelPTM

extension RunEvent {
  /// The event as a line of JSON.
  var json: JSONValue {
    switch self {
    case .plan(let plan, let data): ["event": "plan", "plan": plan.json, "data": data.json]
    case .resumed(let step, let path): ["event": "resumed", "step": .integer(step), "path": .string(path)]
    case .step(let record, _): record.json
    case .validation(let step, let loss): ["step": .integer(step), "validation_loss": .number(loss)]
    case .task(let step, let name, let loss):
      ["step": .integer(step), "task": .string(name), "validation_loss": .number(loss)]
    case .sample(let step, let prompt, let text):
      ["event": "sample", "step": .integer(step), "prompt": .string(prompt), "text": .string(text)]
    case .checkpoint(let step, let path): ["event": "checkpoint", "step": .integer(step), "path": .string(path)]
    case .finished(let path): ["event": "finished", "path": .string(path)]
    }
  }
}

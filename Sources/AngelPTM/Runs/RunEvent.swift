/// What happens in a run, in order.
public enum RunEvent {
  case plan(RunPlan, TrainingData.Statistics)
  case resumed(step: Int, path: String)
  case step(StepRecord, of: Int)
  case validation(step: Int, loss: Double)
  /// The loss of one of several validation files.
  case task(step: Int, name: String, loss: Double)
  case sample(step: Int, prompt: String, text: String)
  case checkpoint(step: Int, path: String)
  case finished(path: String)
}

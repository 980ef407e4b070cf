import AngelCore

/// Whether the largest batch there can be fits into the machine: weights, gradients, states and activations together.
struct MemoryCheck: DoctorCheck {
  static let name = "worst-case memory"
  let plan: RunPlan
  /// Bytes that may be used.
  let budget: Int

  func run() throws -> DoctorFinding {
    let total = plan.memory.total
    let value =
      "\(TextFormat.bytes(total)) for batches of \(TextFormat.count(plan.rowsPerBatch)) tokens, of "
      + "\(TextFormat.bytes(budget)) that may be used"
    let remedy = "lower batch_size (and raise training.accumulation), set training.recompute, or train adapters (lora)"
    if total > budget { return failed(value, remedy: remedy) }
    return Double(total) > 0.95 * Double(budget) ? warning(value, remedy: remedy) : passed(value)
  }
}

import AngelCPU
import AngelCheckpoint
import AngelHCF
import AngelText

/// Streams a model's answer to a question; the model is a GGUF file or a Hugging Face folder.
func answer(_ question: String, model path: String, emit: (String) throws -> Void) throws {
  let backend = try CPUBackend()
  let session = try LanguageModelSession(Checkpoint.open(path), on: backend, pool: backend.pool)
  let prompt = try session.promptTokens(for: [ChatMessage(role: "user", question)])
  var sampling = SamplingParameters.greedy
  sampling.maxTokens = 60
  let sequence = session.engine.makeSequence()
  _ = try session.generator.generate(from: prompt, in: sequence, sampling: sampling, emit: emit)
}

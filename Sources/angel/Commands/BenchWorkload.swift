import AngelHCF
import AngelText

/// What `angel bench speculation` lets a model answer: from texts that repeat what they were given to texts in which there is
/// nothing to guess.
struct BenchWorkload {
  let name: String
  let text: String
  /// Whether the text is a user's message, or begins what the model is to go on with.
  var isMessage = true
  var temperature: Float = 0

  /// The prompt of a session's model; a text of its own where the model knows no messages.
  func prompt(for session: LanguageModelSession) throws -> [Int32] {
    guard isMessage, session.chatTemplate != nil else { return try session.promptTokens(for: text) }
    return try session.promptTokens(for: [ChatMessage(role: "user", text)])
  }

  /// Tokens of an answer at most.
  static let answerLength = 128

  var sampling: SamplingParameters {
    var sampling = SamplingParameters.greedy
    (sampling.temperature, sampling.seed, sampling.maxTokens) = (temperature, 1, Self.answerLength)
    return sampling
  }

  private static let passage = """
    The harbour of Lindow lies behind two stone moles that were built by hand between 1812 and 1829. Before that, boats
    were drawn up the beach by horses, and in a hard winter whole families lived on salted herring and barley. The moles
    changed the town. Within ten years there was a rope walk, a chandler's shop, and a school for the children of the
    crews; within thirty, the railway had come, and the herring went to the capital in ice. Today nine boats are left. The
    rope walk is a museum, the school is a hotel, and the children of the crews show visitors how a net is mended.
    """
  private static let code = """
    def total(prices, rate):
        result = 0.0
        for price in prices:
            if price < 0:
                raise ValueError("a price below zero")
            result += price * (1.0 + rate)
        return result
    """

  static let all = [
    BenchWorkload(name: "question", text: "What is gravity?"),
    BenchWorkload(name: "summary", text: "Summarise this text in three sentences.\n\n" + passage),
    BenchWorkload(
      name: "correction", text: "Repeat this text word for word, but write Marlow instead of Lindow.\n\n" + passage),
    BenchWorkload(name: "extraction", text: "List every year and number in this text as JSON.\n\n" + passage),
    BenchWorkload(name: "translation", text: "Translate into French: The school is a hotel, and nine boats are left."),
    BenchWorkload(
      name: "code edit", text: "Rename `result` to `sum` in this function.\n\n```python\n" + code + "\n```"),
    BenchWorkload(name: "code", text: code + "\n\n\ndef average(prices, rate):\n", isMessage: false),
    BenchWorkload(name: "list", text: "Name twenty animals with four legs, one on each line."),
    BenchWorkload(name: "arithmetic", text: "3 + 4 = 7\n4 + 4 = 8\n5 + 4 = 9\n6 + 4 =", isMessage: false),
    BenchWorkload(name: "story", text: "Tell me a story about a lighthouse.", temperature: 0.8),
    BenchWorkload(name: "letter", text: "Write a letter to a landlord about a broken window.", temperature: 1),
    BenchWorkload(name: "noise", text: "Once upon", isMessage: false, temperature: 3),
  ]
}

import AngelTesting
import Testing

@Suite("The README's example")
struct ReadmeExampleTests {
  @Test("it answers with a model that has a chat template")
  func answers() throws {
    var text = ""
    try answer("Is the tiny model 42 there?", model: Goldens.path("models/llama-tiny")) { text += $0 }
    #expect(!text.isEmpty)
  }
}

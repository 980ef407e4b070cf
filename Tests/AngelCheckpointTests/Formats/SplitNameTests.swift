import Testing

@testable import AngelCheckpoint

@Suite struct SplitNameTests {
  @Test("only names with equal digits are parts of a split file")
  func splitNames() {
    let name = SplitName("/m/x-00002-of-00013.gguf")
    #expect(name?.number == 2 && name?.count == 13 && name?.prefix == "/m/x")
    #expect(name?.path(1) == "/m/x-00001-of-00013.gguf")
    for wrong in [
      "x.gguf", "x-00003-of-00002.gguf", "x-00000-of-00002.gguf", "-00001-of-00002.gguf", "x-0001-of-0002.gguf",
    ] {
      #expect(SplitName(wrong) == nil, "\(wrong)")
    }
  }
}

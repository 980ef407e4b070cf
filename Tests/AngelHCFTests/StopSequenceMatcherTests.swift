import AngelCore
import AngelHCF
import Testing

@Suite("Stop sequences")
struct StopSequenceMatcherTests {
  /// Feeds pieces and joins what comes out.
  private func run(_ stops: [String], _ pieces: [String], includesStop: Bool = false) -> (String, String?) {
    var matcher = StopSequenceMatcher(stops, includesStop: includesStop)
    var text = ""
    for piece in pieces {
      let output = matcher.append(piece)
      text += output.text
      if let stop = output.stop { return (text, stop) }
    }
    return (text + matcher.finish(), nil)
  }

  @Test("text before the stop comes out, the stop and what follows do not")
  func simple() {
    #expect(run(["END"], ["one END two"]) == ("one ", "END"))
    #expect(run(["END"], ["one END two"], includesStop: true) == ("one END", "END"))
    #expect(run(["END"], ["one two"]) == ("one two", nil))
    #expect(run([], ["one"]) == ("one", nil))
    #expect(run(["", "x"], ["ax"]) == ("a", "x"))
  }

  @Test("only what may become a stop is held back")
  func holding() {
    var matcher = StopSequenceMatcher(["\n\nHuman:"])
    #expect(matcher.append("Hello\n").text == "Hello")
    #expect(matcher.append("\n").text == "")
    #expect(matcher.append("\nHu").text == "\n")
    #expect(matcher.append("ge").text == "\n\nHuge")
    #expect(matcher.append("\n\nHuman").text == "")
    #expect(matcher.append(":").stop == "\n\nHuman:")
    #expect(matcher.matched == "\n\nHuman:")
    #expect(matcher.append("more") == .init(text: ""))
    #expect(matcher.finish() == "")
  }

  @Test("a stop split over many pieces is found")
  func split() {
    #expect(run(["<|end|>"], "abc<|end|>def".map(String.init)) == ("abc", "<|end|>"))
    #expect(run(["<|end|>"], ["abc<", "<|en", "d", "|>"]) == ("abc<", "<|end|>"))
  }

  @Test("a false start inside a stop does not hide the real one")
  func overlap() {
    #expect(run(["aab"], ["aaab"]) == ("a", "aab"))
    #expect(run(["abab!"], ["ababab!"]) == ("ab", "abab!"))
    #expect(run(["abcd", "bc"], ["xabce"]) == ("xa", "bc"))
  }

  @Test("of several stops the one complete first wins, at one end the longest")
  func several() {
    #expect(run(["world", "lo"], ["hello world"]) == ("hel", "lo"))
    #expect(run(["lo", "hello"], ["hello world"]) == ("", "hello"))
    #expect(run(["abc", "b"], ["abc"]) == ("a", "b"))
  }

  @Test("what was held back comes out at the end")
  func finish() {
    var matcher = StopSequenceMatcher(["stop"])
    #expect(matcher.append("do not sto").text == "do not ")
    #expect(matcher.finish() == "sto")
    #expect(matcher.finish() == "")
  }

  @Test("stops and text outside ASCII keep their characters whole")
  func unicode() {
    #expect(run(["。"], ["你好", "。", "再见"]) == ("你好", "。"))
    // 好 and 奾 begin with the same two bytes.
    #expect(run(["好"], ["奾", "奾好"]) == ("奾奾", "好"))
    #expect(run(["👩‍🚀"], ["a👩", "\u{200D}", "🚀b"]) == ("a", "👩‍🚀"))
    #expect(run(["é"], ["e\u{301}"]) == ("e\u{301}", nil), "another spelling in code points is another text")
  }

  @Test("the result does not depend on how the text is cut", arguments: 0..<200)
  func chunking(seed: Int) {
    let random = PhiloxGenerator(seed: UInt64(seed))
    var position: UInt64 = 0
    func draw(_ bound: Int) -> Int {
      defer { position += 1 }
      return Int(random.word(at: position)) % bound
    }
    func word(_ length: Int) -> String {
      String((0..<length).map { _ in ["a", "b", "é", "好"][draw(4)] as Character })
    }
    let stops = (0..<1 + draw(4)).map { _ in word(1 + draw(4)) }
    let text = word(draw(40))
    let whole = run(stops, [text])
    var pieces: [String] = []
    var rest = text[...]
    while !rest.isEmpty {
      let piece = rest.prefix(1 + draw(4))
      pieces.append(String(piece))
      rest = rest.dropFirst(piece.count)
    }
    #expect(run(stops, pieces) == whole)
    #expect(whole == first(stops, text))
  }

  /// The definition: the smallest end of any occurrence, at that end the longest stop.
  private func first(_ stops: [String], _ text: String) -> (String, String?) {
    for end in text.indices.map({ text.index(after: $0) }) {
      let ending = stops.filter { text[..<end].hasSuffix($0) }.max { $0.count < $1.count }
      if let ending { return (String(text[..<end].dropLast(ending.count)), ending) }
    }
    return (text, nil)
  }
}

import AngelCore
import AngelHCF

/// OpenAI's completions: answers are entries of `choices`, in one object or in one for each event of a stream.
struct ChoicesForm: AnswerForm {
  let head: AnswerHead
  let plan: GenerationPlan
  let entries: any ChoiceForm

  func whole(_ answers: [CollectedAnswer], _ usage: ServingUsage) -> JSONValue {
    var object = start(entries.wholeKind)
    object["choices"] = .array(answers.indices.map { entries.choice(answers[$0], index: $0) })
    object["usage"] = json(usage)
    return .object(object)
  }

  func makeStream() -> any AnswerStream { ChoicesStream(self) }

  /// The first members, up to `choices`.
  fileprivate func start(_ kind: String) -> JSONObject {
    JSONObject([
      ("id", .string(entries.idPrefix + head.id)), ("object", .string(kind)), ("created", .integer(head.created)),
      ("model", .string(head.model)), ("system_fingerprint", .string(head.fingerprint)),
    ])
  }

  fileprivate func json(_ usage: ServingUsage) -> JSONValue {
    let completion = plan.discardsAnswers ? 0 : usage.completionTokens
    return [
      "prompt_tokens": .integer(usage.promptTokens), "completion_tokens": .integer(completion),
      "total_tokens": .integer(usage.promptTokens + completion),
      "prompt_tokens_details": ["cached_tokens": .integer(usage.cachedTokens)],
    ]
  }
}

/// How an entry of `choices` looks: a chat's or a plain completion's.
protocol ChoiceForm: Sendable {
  /// What names of answers begin with.
  var idPrefix: String { get }
  /// `object` of a whole answer and of a piece.
  var wholeKind: String { get }
  var pieceKind: String { get }

  /// A whole answer.
  func choice(_ answer: CollectedAnswer, index: Int) -> JSONValue
  /// What comes before an answer's first piece; empty for nothing. JSON texts of entries.
  func opening(_ stream: inout ChoiceStream, index: Int) -> [String]
  /// What a piece adds; empty for nothing.
  func piece(_ piece: ServingPiece, _ stream: inout ChoiceStream, index: Int) -> [String]
  func ending(_ reason: FinishReason, _ stream: inout ChoiceStream, index: Int) -> [String]
}

/// What a stream remembers of an answer between its pieces.
struct ChoiceStream: Sendable {
  var hasBegun = false
  var echo = ""
  var promptTokens: [SampledToken] = []
  /// Goes on counting text offsets.
  var logprobs: CompletionLogprobs?
  /// The parts of a chat's turn.
  var turn: ChatTurn?
}

/// Pieces of `choices` as server-sent events, with `[DONE]` at the end.
private struct ChoicesStream: AnswerStream {
  private let form: ChoicesForm
  private let start: String
  private var streams: [ChoiceStream]

  init(_ form: ChoicesForm) {
    self.form = form
    start = String(JSONValue.object(form.start(form.entries.pieceKind)).encoded().dropLast())
    let plan = form.plan
    streams = plan.prompts.flatMap { prompt in
      Array(repeating: ChoiceStream(echo: plan.echoes ? prompt.text : ""), count: plan.answerCount)
    }
  }

  func begin(to text: inout String) {}

  mutating func write(_ event: AnswerEvent, to text: inout String) {
    switch event {
    case .prompt(let answer, let tokens): streams[answer].promptTokens = tokens
    case .piece(let piece):
      open(piece.answer, to: &text)
      for entry in form.entries.piece(piece, &streams[piece.answer], index: piece.answer) { add(entry, to: &text) }
    case .finished(let answer, let reason, _):
      open(answer, to: &text)
      for entry in form.entries.ending(reason, &streams[answer], index: answer) { add(entry, to: &text) }
    }
  }

  private mutating func open(_ answer: Int, to text: inout String) {
    guard !streams[answer].hasBegun else { return }
    streams[answer].hasBegun = true
    for entry in form.entries.opening(&streams[answer], index: answer) { add(entry, to: &text) }
  }

  private func add(_ choice: String, to text: inout String) {
    text += "data: \(start),\"choices\":[\(choice)]\(form.plan.includesUsage ? ",\"usage\":null" : "")}\n\n"
  }

  func end(_ usage: ServingUsage, to text: inout String) {
    if form.plan.includesUsage {
      text += "data: \(start),\"choices\":[],\"usage\":\(form.json(usage).encoded())}\n\n"
    }
    text += "data: [DONE]\n\n"
  }

  func fail(_ error: APIError, to text: inout String) {
    text += "data: \(error.json.encoded())\n\ndata: [DONE]\n\n"
  }
}

extension FinishReason {
  /// As OpenAI's completions have it; an answer that was broken off counts as cut.
  var json: JSONValue { .string(self == .stop ? "stop" : "length") }
}

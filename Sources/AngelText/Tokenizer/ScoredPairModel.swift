import AngelCore

/// The model of SentencePiece's byte-pair encoding: which text is a token, and how early it merges.
final class ScoredPairModel: Sendable {
  let index: SpellingIndex
  let spellings: StringTable
  let byteTokens: ByteTokens?
  let unknownToken: Int32?
  let cuts: MarkerCuts
  private let scores: [Float]
  private let kinds: [TokenKind]

  init(_ rules: ScoredPairRules, _ vocabulary: Vocabulary) throws(TokenizerError) {
    guard rules.scores.allSatisfy(\.isFinite) else {
      throw .invalid(field: "scores", reason: "one is not a finite number")
    }
    let kinds = vocabulary.kinds
    let scoreCount = rules.scores.count
    index = SpellingIndex(vocabulary.spellings) { token in
      guard token < scoreCount else { return false }
      return switch kinds[token] {
      case .normal, .userDefined, .unused: true
      case .control, .unknown, .byte: false
      }
    }
    spellings = vocabulary.spellings
    scores = rules.scores
    self.kinds = kinds
    byteTokens = rules.fallsBackToBytes ? ByteTokens(vocabulary) : nil
    unknownToken = rules.unknownToken
    cuts = MarkerCuts(vocabulary)
  }

  /// When a token merges: the lowest first, which is the highest score.
  @inline(__always)
  func rank(_ token: Int32) -> UInt32 {
    // Adding zero makes one zero of two.
    let bits = (scores[Int(token)] + 0).bitPattern
    // Floats in the order of unsigned integers, upside down.
    return bits & 0x8000_0000 != 0 ? bits : ~(bits | 0x8000_0000)
  }

  func isUnused(_ token: Int32) -> Bool { kinds[Int(token)] == .unused }
}

/// A model of any kind, prepared: pieces in, tokens out.
enum PieceModel: Sendable {
  case bytePairs(BytePairModel)
  case scoredPairs(ScoredPairModel)
  case unigram(UnigramModel)
  case wordPiece(WordPieceModel)
}

/// Encodes pieces one by one and remembers the tokens of recent short ones; working memory for one encode at a time.
struct PieceEncoder: Sendable {
  private struct Scratch: Sendable {
    var merger = WordMerger()
    var scoredMerger = ScoredPairMerger()
    var lattice = UnigramLattice()
  }

  private var cache = PieceCache()
  private var scratch = Scratch()

  /// Appends the tokens of `pieces`, ranges of `text`.
  mutating func encode(
    _ pieces: [Range<Int>], of text: UnsafeBufferPointer<UInt8>, with model: PieceModel, into output: inout [Int32]
  ) {
    switch model {
    case .bytePairs(let model):
      for piece in pieces {
        if piece.count == 1, case .bytes(let letters) = model.letters, letters[Int(text[piece.lowerBound])] >= 0 {
          output.append(letters[Int(text[piece.lowerBound])])
          continue
        }
        forEachPart(of: piece, text, model.cuts, into: &output) { $0.merger.encode($1, with: model, into: &$2) }
      }
    case .scoredPairs(let model):
      for piece in pieces {
        forEachPart(of: piece, text, model.cuts, into: &output) { $0.scoredMerger.encode($1, with: model, into: &$2) }
      }
    case .unigram(let model):
      for piece in pieces {
        encode(piece, text, into: &output) { $0.lattice.encode($1, with: model, into: &$2) }
      }
    case .wordPiece(let model):
      for piece in pieces { encode(piece, text, into: &output) { model.encode($1, into: &$2) } }
    }
  }

  /// Encodes a piece part by part, where it may be cut.
  @inline(__always)
  private mutating func forEachPart(
    of piece: Range<Int>, _ text: UnsafeBufferPointer<UInt8>, _ cuts: MarkerCuts?, into output: inout [Int32],
    _ make: (inout Scratch, UnsafeBufferPointer<UInt8>, inout [Int32]) -> Void
  ) {
    guard let cuts else { return encode(piece, text, into: &output, make) }
    var start = piece.lowerBound
    while start < piece.upperBound {
      let end = cuts.end(in: text, from: start, limit: piece.upperBound)
      encode(start..<end, text, into: &output, make)
      start = end
    }
  }

  /// Appends the tokens of one piece: those remembered, or those that `make` appends.
  @inline(__always)
  private mutating func encode(
    _ piece: Range<Int>, _ text: UnsafeBufferPointer<UInt8>, into output: inout [Int32],
    _ make: (inout Scratch, UnsafeBufferPointer<UInt8>, inout [Int32]) -> Void
  ) {
    let bytes = UnsafeBufferPointer(rebasing: text[piece])
    guard let slot = cache.slot(for: bytes) else { return make(&scratch, bytes, &output) }
    if cache.appendTokens(of: bytes, at: slot, to: &output) { return }
    let start = output.count
    make(&scratch, bytes, &output)
    cache.store(output[start...], of: bytes, at: slot)
  }
}

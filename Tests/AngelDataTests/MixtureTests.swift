import Testing

@testable import AngelData

@Suite("Mixtures of tasks") struct MixtureTests {
  /// Batches whose one token says which batch of its source it is.
  private struct Numbered: BatchSource {
    var rowLimit = 1
    var batchesPerEpoch: Int
    func batch(_ index: Int) throws -> TokenBatch {
      var batch = TokenBatch()
      batch.append(TokenSample([Int32(index), 0]))
      return batch
    }
  }

  @Test("every task has its share of the batches, and its own batches come in order, none left out")
  func shares() throws {
    let sources = [
      Numbered(batchesPerEpoch: 10), Numbered(rowLimit: 3, batchesPerEpoch: 700), Numbered(batchesPerEpoch: 5),
    ]
    let mixture = MixtureSource(sources, weights: [3, 1, 0.001], seed: 4)
    #expect(mixture.batchesPerEpoch == 715 && mixture.rowLimit == 3)
    var next = [0, 0, 0]
    for index in 0..<4000 {
      let place = mixture.place(index)
      #expect(place.batch == next[place.source])
      #expect(try mixture.batch(index).inputs == [Int32(place.batch)])
      next[place.source] += 1
    }
    // A cycle has 750, 250 and, since nobody goes without, 1 slots.
    #expect(abs(Double(next[0]) / 4000 - 0.75) < 0.01 && abs(Double(next[1]) / 4000 - 0.25) < 0.01)
    #expect((3...5).contains(next[2]))
  }

  @Test("tasks take turns: no long stretch without the smaller one")
  func turns() {
    let mixture = MixtureSource(
      [Numbered(batchesPerEpoch: 1), Numbered(batchesPerEpoch: 1)], weights: [1, 1], seed: 1)
    let sources = (0..<1000).map { mixture.place($0).source }
    var longest = 0
    var run = 0
    for (one, other) in zip(sources, sources.dropFirst()) {
      run = one == other ? run + 1 : 0
      longest = max(longest, run)
    }
    #expect(longest < 20 && sources.count { $0 == 0 } == 500)
  }
}

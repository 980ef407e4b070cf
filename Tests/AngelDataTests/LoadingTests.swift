import AngelCore
import AngelTesting
import Testing

@testable import AngelData

@Suite("Batches") struct LoadingTests {
  @Test(
    "a permutation visits every entry once, differs by seed and stream, and repeats",
    arguments: [1, 2, 3, 5, 16, 17, 1000])
  func permutation(_ count: Int) {
    let order = Permutation(count: count, seed: 1, stream: 0)
    let entries = (0..<count).map { order[$0] }
    #expect(entries.sorted() == Array(0..<count))
    #expect(entries == (0..<count).map { Permutation(count: count, seed: 1, stream: 0)[$0] })
    if count >= 16 {
      #expect(entries != (0..<count).map { Permutation(count: count, seed: 2, stream: 0)[$0] })
      #expect(entries != (0..<count).map { Permutation(count: count, seed: 1, stream: 1)[$0] })
      #expect(entries != Array(0..<count))
    }
  }

  @Test("windows of an epoch are disjoint, whole and shuffled; targets are the next tokens")
  func windows() throws {
    let tokens = (0..<103).map { Int32($0) }
    let source = try WindowSource(TokenStream(tokens, name: "t"), length: 10, batchSize: 3, seed: 5)
    #expect(source.batchesPerEpoch == 3 && source.rowLimit == 30)
    var read: [Int32] = []
    for index in 0..<3 {
      let batch = try source.batch(index)
      #expect(batch.bounds == [0, 10, 20, 30])
      #expect(zip(batch.inputs, batch.targets).allSatisfy { $1 == $0 + 1 })
      #expect(batch.weights.allSatisfy { $0 == 1 })
      #expect(batch.positions == (0..<3).flatMap { _ in (0..<10).map { Int32($0) } })
      read += batch.inputs
    }
    #expect(Set(read).count == 90, "no token is read twice in an epoch")
    #expect(try source.batch(1) == source.batch(1))
    #expect(try source.batch(0) != source.batch(3), "the next epoch has another order")
  }

  @Test("too short a text is refused with both numbers")
  func shortText() {
    #expect(throws: DataError.self) {
      try WindowSource(TokenStream([1, 2, 3], name: "t"), length: 3, batchSize: 1, seed: 0)
    }
  }

  @Test("bins hold every sample once, none overflows, and full bins stay full")
  func bins() {
    let lengths = (0..<200).map { 1 + ($0 * 37) % 64 }
    let packed = Bins(count: 200, limit: 64) { lengths[$0] }
    let bins = (0..<packed.count).map { packed[$0].map(Int.init) }
    #expect(bins == Self.plainBins(lengths, limit: 64))
    #expect(bins.flatMap { $0 }.sorted() == Array(0..<200))
    #expect(bins.allSatisfy { bin in bin.reduce(0) { $0 + lengths[$1] } <= 64 })
    let best = (lengths.reduce(0, +) + 63) / 64
    #expect(bins.count <= best + 1, "\(bins.count) bins where \(best) are the least")
  }

  @Test("bins are those of a plain search, however large", arguments: [1, 63, 64, 65, 300, 9000])
  func plainSearch(_ limit: Int) {
    let generator = PhiloxGenerator(seed: 4, stream: UInt64(limit))
    let lengths = (0..<400).map { 1 + Int(generator.word(at: UInt64($0))) % limit }
    let packed = Bins(count: 400, limit: limit) { lengths[$0] }
    #expect((0..<packed.count).map { packed[$0].map(Int.init) } == Self.plainBins(lengths, limit: limit))
  }

  /// Best fit decreasing as it is defined.
  private static func plainBins(_ lengths: [Int], limit: Int) -> [[Int]] {
    let order = lengths.indices.sorted { (lengths[$1], $0) < (lengths[$0], $1) }
    var bins: [[Int]] = []
    var open = [[Int]](repeating: [], count: limit + 1)
    for sample in order {
      let length = lengths[sample]
      if let room = (length...limit).first(where: { !open[$0].isEmpty }), let bin = open[room].popLast() {
        bins[bin].append(sample)
        open[room - length].append(bin)
      } else {
        open[limit - length].append(bins.count)
        bins.append([sample])
      }
    }
    return bins
  }

  private func stored(_ samples: [TokenSample]) throws -> TokenSamples {
    var writer = TokenFileWriter(
      path: "x", vocabularySize: 100, tokenizerDigest: "d", isWeighted: true, holds: 1 << 20)
    for sample in samples { try writer.append(sample) }
    return TokenSamples(try writer.finish())
  }

  @Test("a packed batch keeps its samples apart and their weights with the targets")
  func packed() throws {
    var first = TokenSample([1, 2], weight: 0)
    first.append([3, 4], weight: 1)
    let second = TokenSample([5, 6, 7], weight: 0.5)
    let source = try PackedSource(stored([first, second]), packing: .rows(5), seed: 0, name: "x")
    let batch = try source.batch(0)
    #expect(batch.inputs == [1, 2, 3, 5, 6] && batch.targets == [2, 3, 4, 6, 7])
    #expect(batch.weights == [0, 1, 1, 0.5, 0.5] && batch.bounds == [0, 3, 5] && batch.positions == [0, 1, 2, 0, 1])
    #expect(batch.weightSum == 3)
  }

  @Test("unpacked batches hold the asked number of samples, each sample once an epoch")
  func unpacked() throws {
    let samples = (0..<7).map { TokenSample([Int32($0 * 2), Int32($0 * 2 + 1)]) }
    let source = try PackedSource(stored(samples), packing: .samples(3), seed: 1, name: "x")
    #expect(source.batchesPerEpoch == 3)
    let seen = try (0..<3).flatMap { try source.batch($0).inputs }
    #expect(seen.sorted() == [0, 2, 4, 6, 8, 10, 12])
  }
}
